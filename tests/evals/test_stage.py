"""The eval stage on a replayed engine: what was not answered is not a wrong answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals import stage
from evals.config import EvalConfig
from ratchet.answers import Grader
from ratchet.grading import GradingRules
from ratchet.policy import Policy
from ratchet.prompts import PromptConfig
from ratchet.records import EvalRow, Problem
from ratchet.store import Store
from samplers.client import EngineClient
from samplers.config import ReplayEngineConfig


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


def test_a_failed_request_is_unscored_and_not_a_wrong_answer(
    tmp_path: Path, inputs: stage.EvalInputs
) -> None:
    config = EvalConfig()
    artifact, _ = Store(tmp_path).build(
        stage.spec(config, inputs), lambda out: stage.run(config, inputs, out)
    )
    rows = [(row.correct, row.reason) for row in artifact.rows(EvalRow)]
    assert [correct for correct, _ in rows] == [True, False, None, None]
    assert {reason for correct, reason in rows if correct is None} == {"not_recorded"}
    assert (artifact.metrics["mean"], artifact.metrics["n"]) == (0.5, 2)
    assert artifact.metrics["unscored"] == 2
