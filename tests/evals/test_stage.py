"""The eval stage on a replayed engine: what was not answered is not a wrong answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evals import stage
from evals.config import EvalConfig
from ratchet.errors import InputError
from ratchet.generation.engine import (
    PROMPT_TOO_LONG,
    EngineDied,
    Output,
    RequestSource,
    SampledGroup,
    Sampling,
    group_of,
)
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import Policy
from ratchet.problems.grading import GradingRules
from ratchet.records import EvalRow, Problem
from ratchet.store.artifacts import Artifact, Store
from ratchet.verifier.grader import Grader
from samplers.config import ReplayEngineConfig
from samplers.serving.client import EngineClient


def make_problems(count: int) -> list[Problem]:
    return [
        Problem(problem_id=f"p{i}", problem=f"{i} + {i} = ?", reference_answer=str(2 * i))
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage.EvalInputs]:
    """Four problems: one right answer, one wrong, one answer too few for each of the others."""
    folder = tmp_path_factory.mktemp("eval")
    texts = {"p0": r"\boxed{0}", "p1": r"\boxed{5}"}
    rows = [{"problem_id": i, "attempt": 0, "completion": text} for i, text in texts.items()]
    recording = folder / "recorded.jsonl"
    recording.write_text("".join(json.dumps(row) + "\n" for row in rows))
    engine = ReplayEngineConfig(path=str(recording))
    with EngineClient(engine, PromptConfig(), folder / "engine.log") as client, Grader() as grader:
        yield stage.EvalInputs(
            benchmark="dev",
            problems=make_problems(4),
            problems_fingerprint="problems",
            rules=GradingRules(),
            policy=Policy(fingerprint="base", model="none"),
            completer=client,
            grader=grader,
            decoding={},
            seed=0,
        )


class Narrow:
    """Answers each request, or refuses its prompt; may end after so many."""

    def __init__(self, too_long: set[str], dies_after: int = 99) -> None:
        self._too_long = too_long
        self._dies_after = dies_after

    def generate(
        self, policy: Policy, sampling: Sampling, requests: RequestSource
    ) -> Iterator[SampledGroup]:
        for at, request in enumerate(iter(requests.take, None)):
            if at == self._dies_after:
                raise EngineDied("gone")
            if request.problem_id in self._too_long:
                empty = (Output("", "error", 0),)
                yield group_of(request, "?", 70, empty, PROMPT_TOO_LONG, limit=64)
            else:
                yield group_of(request, "?", 7, (Output(r"\boxed{1}", "stop", 3),))

    def release_device(self) -> None:
        """Nothing is held."""


def test_prompts_without_room_are_not_graded_and_too_many_stop_the_eval(
    tmp_path: Path, inputs: stage.EvalInputs
) -> None:
    """Those of finished shards count too, so that going on does not get past the limit."""
    config = EvalConfig(shard_size=2, max_too_long=0.25)
    narrow = {"p0", "p3"}

    def evaluate(completer: Narrow, folder: str, **settings: float) -> Artifact:
        changed, given = config.model_copy(update=settings), replace(inputs, completer=completer)
        spec = stage.spec(changed, given)
        assert spec.identity == stage.spec(config, inputs).identity
        made, _ = Store(tmp_path / folder).build(spec, lambda out: stage.run(changed, given, out))
        return made

    one = evaluate(Narrow({"p3"}), "one")
    assert [(row.correct, row.reason) for row in one.rows(EvalRow)][3] == (None, PROMPT_TOO_LONG)
    with pytest.raises(EngineDied):
        evaluate(Narrow(narrow, dies_after=3), "cut")
    with pytest.raises(InputError, match=r"2 of the 4 prompts of dev .* problem p3, has 70 tokens"):
        evaluate(Narrow(narrow), "cut")
    assert evaluate(Narrow(narrow), "cut", max_too_long=0.5).metrics["unscored"] == 2


def test_a_failed_request_is_unscored_and_not_a_wrong_answer(
    tmp_path: Path, inputs: stage.EvalInputs
) -> None:
    config = EvalConfig(group_size=1)
    artifact, _ = Store(tmp_path).build(
        stage.spec(config, inputs), lambda out: stage.run(config, inputs, out)
    )
    rows = [(row.correct, row.reason) for row in artifact.rows(EvalRow)]
    assert [correct for correct, _ in rows] == [True, False, None, None]
    assert {reason for correct, reason in rows if correct is None} == {"not_recorded"}
    assert (artifact.metrics["mean"], artifact.metrics["n"]) == (0.5, 4)
    assert artifact.metrics["unscored"] == 2
    assert artifact.metrics["low"] < 0.25 < 0.75 < artifact.metrics["high"]
