import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from ratchet.generation.engine import Output, Request, SampledGroup
from ratchet.generation.shards import ShardPlan, fill_shards
from ratchet.records import Problem, SftRow
from ratchet.store.artifacts import Workspace
from ratchet.store.identity import ArtifactSpec


def make_problems(count: int) -> list[Problem]:
    return [
        Problem(problem_id=f"p{i}", problem=f"{i}+1", reference_answer=str(i + 1))
        for i in range(count)
    ]


def make_workspace(path: Path) -> Workspace:
    return Workspace(path, ArtifactSpec(stage="demo", version=1, settings={}))


class Shuffler:
    """Answers in another order than it was asked, and can stop early."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.stop_after = stop_after

    def __call__(self, requests: Iterable[Request]) -> Iterator[SampledGroup]:
        queue = list(requests)
        self.asked = [request.problem_id for request in queue]
        random.Random(0).shuffle(queue)
        for number, request in enumerate(queue):
            if number == self.stop_after:
                raise ConnectionError("engine gone")
            outputs = tuple(Output("x", "stop", 1) for _ in range(request.num_completions))
            yield SampledGroup(request.problem_id, request.problem, 1, outputs)


def to_rows(problem: Problem, group: SampledGroup) -> list[SftRow]:
    return [
        SftRow(problem_id=problem.problem_id, attempt=i, prompt=group.prompt, completion="x")
        for i in range(len(group.outputs))
    ]


def fill(out: Workspace, engine: Shuffler, count: int = 23) -> None:
    plan = ShardPlan.of(make_problems(count), 2, 11, out)
    for _ in fill_shards(plan, out, engine, to_rows, SftRow):
        pass


def ids(out: Workspace, parts: int) -> list[tuple[str, int]]:
    rows = (row for index in range(parts) for row in out.read_part(index, SftRow))
    return [(row.problem_id, row.attempt) for row in rows]


def test_shards_keep_the_problems_order_whatever_the_engine_does(tmp_path: Path) -> None:
    out = make_workspace(tmp_path)
    fill(out, Shuffler())
    assert ids(out, 5) == [(f"p{i}", attempt) for i in range(23) for attempt in (0, 1)]


def test_after_a_cut_no_finished_shard_is_asked_for_again(tmp_path: Path) -> None:
    out = make_workspace(tmp_path)
    with pytest.raises(ConnectionError):
        fill(out, Shuffler(stop_after=20))
    finished = {i for i in range(5) if out.finished_part(i)}
    assert finished
    assert len(finished) < 5
    engine = Shuffler()
    fill(out, engine)
    expected = [f"p{i}" for i in range(23) if i // 5 not in finished]
    assert engine.asked == expected
    assert len(ids(out, 5)) == 46


def test_an_engine_that_leaves_groups_out_is_a_defect_not_silence(tmp_path: Path) -> None:
    def forgetful(requests: Iterable[Request]) -> Iterator[SampledGroup]:
        yield from list(Shuffler()(requests))[:-1]

    plan = ShardPlan.of(make_problems(7), 1, 5, make_workspace(tmp_path))
    with pytest.raises(RuntimeError, match="1 of 2 shards incomplete"):
        list(fill_shards(plan, make_workspace(tmp_path), forgetful, to_rows, SftRow))
