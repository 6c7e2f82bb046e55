import random
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ratchet.generation.drawing import Drawing, DrawnProblem, Generate, fill_shards
from ratchet.generation.engine import Output, Request, RequestSource, SampledGroup, group_of
from ratchet.generation.shards import ShardPlan
from ratchet.generation.strategy import Independent, ScoredGroup, Strategy
from ratchet.records import Problem, SftRow
from ratchet.store.artifacts import Artifact, Store, Workspace
from ratchet.store.identity import ArtifactSpec
from ratchet.verifier.grade_file import read_grades
from ratchet.verifier.grades import Grade

TWO_EACH = Independent(2)


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

    def __call__(self, requests: RequestSource) -> Iterator[SampledGroup]:
        queue = list(iter(requests.take, None))
        self.asked = [request.problem_id for request in queue]
        random.Random(0).shuffle(queue)
        for number, request in enumerate(queue):
            if number == self.stop_after:
                raise ConnectionError("engine gone")
            outputs = tuple(Output("x", "stop", 1) for _ in range(request.num_completions))
            yield group_of(request, request.problem, 1, outputs)


def to_rows(drawn: DrawnProblem) -> list[SftRow]:
    return [
        SftRow(
            problem_id=drawn.problem.problem_id,
            attempt=attempt,
            prompt=group.prompt,
            completion=request.prefix + output.completion,
        )
        for attempt, (request, group, output) in enumerate(drawn.outputs())
    ]


def drawing(engine: Generate, strategy: Strategy = TWO_EACH, **more: Any) -> Drawing[SftRow]:
    return Drawing(strategy, engine, to_rows, SftRow, **more)


def fill(out: Workspace, engine: Generate, count: int = 23) -> None:
    plan = ShardPlan.of(make_problems(count), 2, 11, out)
    for _ in fill_shards(plan, out, drawing(engine)):
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
    def forgetful(requests: RequestSource) -> Iterator[SampledGroup]:
        yield from list(Shuffler()(requests))[:-1]

    plan = ShardPlan.of(make_problems(7), 1, 5, make_workspace(tmp_path))
    with pytest.raises(RuntimeError, match="1 of 2 shards incomplete"):
        list(fill_shards(plan, make_workspace(tmp_path), drawing(forgetful)))


class UntilRight:
    """One completion at a time until one is right, at most four; even problems get none."""

    def __init__(self) -> None:
        self.drawn: dict[str, int] = {}

    def begin(self, problem: Problem) -> Sequence[Request]:
        return () if int(problem.problem_id[1:]) % 2 == 0 else self._one(problem.problem_id)

    def on_group(self, group: ScoredGroup) -> Sequence[Request]:
        name = group.request.problem_id
        return () if group.accepted or self.drawn[name] == 4 else self._one(name)

    def _one(self, name: str) -> Sequence[Request]:
        self.drawn[name] = self.drawn.get(name, 0) + 1
        return (Request(f"{name}/{self.drawn[name]}", name, "?", 1, prefix="So "),)


class OneByOne:
    """An engine that holds two requests at a time, and answers the later first."""

    def __init__(self, right_at: int) -> None:
        self.right_at = right_at
        self.asked: list[str] = []

    def __call__(self, requests: RequestSource) -> Iterator[SampledGroup]:
        held: deque[Request] = deque()
        while True:
            while len(held) < 2 and (request := requests.take()):
                self.asked.append(request.request_id)
                held.append(request)
            if not held:
                return
            request = held.pop()
            text = "2" if request.request_id.endswith(f"/{self.right_at}") else "no"
            yield group_of(request, "?", 1, (Output(text, "stop", 1),))


class IsTwo:
    key = "is it two?"

    def score(self, problem: Problem, outputs: Sequence[Output]) -> list[Grade | None]:
        return [Grade(o.completion, o.completion == "2", "equal_string") for o in outputs]


def test_a_strategy_asks_for_more_until_it_has_enough(tmp_path: Path) -> None:
    out, engine = make_workspace(tmp_path), OneByOne(right_at=3)
    plan = ShardPlan.of(make_problems(6), 1, 3, out)
    drawn = list(fill_shards(plan, out, drawing(engine, UntilRight(), scorer=IsTwo())))
    assert sorted(engine.asked) == [f"p{p}/{n}" for p in (1, 3, 5) for n in (1, 2, 3)]
    assert ids(out, 2) == [(f"p{p}", attempt) for p in (1, 3, 5) for attempt in range(3)]
    rows = out.read_part(1, SftRow)
    assert [row.completion for row in rows] == ["So no", "So no", "So 2"] * 2
    assert {each.problem.problem_id: each.accepted for each, _ in drawn} == {
        f"p{p}": p % 2 for p in range(6)
    }


def test_begun_problems_are_ended_before_others_begin(tmp_path: Path) -> None:
    """So that shards close early, and a cut loses little."""
    out, engine = make_workspace(tmp_path), OneByOne(right_at=9)
    plan = ShardPlan.of(make_problems(40), 1, 4, out)
    for _ in fill_shards(plan, out, drawing(engine, UntilRight(), scorer=IsTwo())):
        pass
    begun = [name for name in engine.asked if name.endswith("/1")]
    assert begun == [f"p{p}/1" for p in range(1, 40, 2)]
    assert engine.asked.index("p3/4") < engine.asked.index("p5/1")


def test_two_requests_of_one_name_are_a_defect(tmp_path: Path) -> None:
    class Twice(UntilRight):
        def _one(self, name: str) -> Sequence[Request]:
            return (Request("same", name, "?", 1),)

    out = make_workspace(tmp_path)
    plan = ShardPlan.of(make_problems(6), 1, 3, out)
    with pytest.raises(RuntimeError, match=r"two requests are named 'same'.* Twice"):
        list(fill_shards(plan, out, drawing(OneByOne(1), Twice())))


def test_grades_are_kept_beside_their_shard_and_change_no_fingerprint(tmp_path: Path) -> None:
    """Only where they are asked for; by other rules, or for another part, they are not read."""

    def make(name: str, **more: Any) -> Artifact:
        def build(out: Workspace) -> dict[str, Any]:
            plan = ShardPlan.of(make_problems(6), 1, 3, out)
            for _ in fill_shards(plan, out, drawing(OneByOne(2), UntilRight(), **more)):
                pass
            return {}

        spec = ArtifactSpec(stage="demo", version=1, settings={})
        return Store(tmp_path / name).build(spec, build)[0]

    bare, kept = make("bare", scorer=IsTwo()), make("kept", scorer=IsTwo(), keep_grades=True)
    assert bare.fingerprint == kept.fingerprint
    assert bare.part_files()[0].read_bytes() == kept.part_files()[0].read_bytes()
    assert kept.manifest.rows == 6
    first, second = kept.part_files()
    grades = read_grades(kept, first, IsTwo.key)
    assert [grade.correct for grade in grades] == [False, True]
    assert grades[1] == Grade("2", True, "equal_string")
    assert len(read_grades(kept, second, IsTwo.key)) == 4
    assert read_grades(bare, bare.part_files()[0], IsTwo.key) is None
    assert read_grades(kept, first, "is it three?") is None
    shutil.copy(kept.note_of(second), kept.note_of(first))
    assert read_grades(kept, first, IsTwo.key) is None


def test_grades_of_a_part_that_was_made_again_go_with_it(tmp_path: Path) -> None:
    store, spec = Store(tmp_path), ArtifactSpec(stage="demo", version=1, settings={})

    def build(out: Workspace) -> dict[str, Any]:
        plan = ShardPlan.of(make_problems(6), 1, 3, out)
        kept = drawing(OneByOne(2), UntilRight(), scorer=IsTwo(), keep_grades=True)
        for _ in fill_shards(plan, out, kept):
            pass
        return {}

    made, _ = store.build(spec, build)
    notes = [made.note_of(part).read_bytes() for part in made.part_files()]
    made.part_files()[0].write_bytes(b"torn")
    again, reused = Store(tmp_path).build(spec, build)
    assert not reused
    assert [again.note_of(part).read_bytes() for part in again.part_files()] == notes
    assert again.fingerprint == made.fingerprint
