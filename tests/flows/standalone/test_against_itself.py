"""A/A at the gate and the guards, on draws that differ as they are planted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from evals.stage import Draw
from evals.summary import summarize
from flows.standalone.against_itself import put_to_gate, told
from flows.standalone.evaluator import Evaluation, Evaluator, MeasuredEvaluation
from flows.standalone.prepare import EvalRequest, Preparation, prepare
from ratchet.records import EvalRow
from ratchet.store.artifacts import Store, Workspace
from ratchet.store.identity import ArtifactSpec
from tests.helpers.evaluated import arithmetic, write_problems
from tests.helpers.places import SEED_MODEL
from tests.helpers.world import write_config, write_recording

COUNT = 100


class Planted(Evaluator):
    """Answers with rows of which the shares of `right` are right, by purpose and benchmark."""

    def __init__(self, store: Store, right: dict[tuple[str, str], float]) -> None:
        self._store = store
        self._right = right
        self.draws: list[tuple[str, Draw]] = []

    def measure(self, evaluation: Evaluation, draw: Draw | None = None) -> MeasuredEvaluation:
        assert draw is not None
        name = evaluation.benchmark.name
        self.draws.append((name, draw))
        share = self._right[name, draw.purpose]
        rows = list(_rows(evaluation, draw, share))
        settings = {"name": name, "share": share, **{k: getattr(draw, k) for k in draw.__slots__}}

        def make(out: Workspace) -> dict[str, Any]:
            out.write_part(0, rows, EvalRow)
            return summarize(rows, evaluation.settings.eval)

        spec = ArtifactSpec(stage="eval", version=1, settings=settings)
        artifact, reused = self._store.build(spec, make)
        return MeasuredEvaluation(evaluation, artifact, reused)


def _rows(evaluation: Evaluation, draw: Draw, share: float) -> Any:
    for at, problem in enumerate(evaluation.benchmark.problems):
        for attempt in range(draw.first, draw.first + draw.count):
            right = (at * 37 + attempt * 13) % 100 < 100 * share
            yield EvalRow(
                benchmark=evaluation.benchmark.name,
                problem_id=problem.problem_id,
                attempt=attempt,
                completion="",
                answer="1",
                correct=right,
                reason="equal" if right else "different",
                finish_reason="stop",
                num_tokens=1,
            )


def prepared(tmp_path: Path, *settings: str, config: Path | None = None) -> Preparation:
    name = "dev" if config else str(write_problems(tmp_path / "p.jsonl", arithmetic(COUNT)))
    wanted = EvalRequest(benchmarks=(name,), config=config, settings=settings)
    return prepare(Store(tmp_path / "store"), [str(SEED_MODEL)], wanted)


def test_a_gate_that_promotes_a_checkpoint_over_itself_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    preparation = prepared(tmp_path)
    (evaluation,) = preparation.evaluations(str(tmp_path / "p.jsonl"))
    planted = Planted(store, {("p", "incumbent"): 0.3, ("p", "aa"): 0.6})
    result = put_to_gate(store, planted, evaluation, preparation)
    assert result["metrics"]["verdict"] == "promoted"
    assert result["metrics"]["level"] == 0.05
    assert [draw for _, draw in planted.draws] == [Draw(2, 0, "incumbent"), Draw(2, 0, "aa")]
    assert "the gate promoted a checkpoint that is the same" in "\n".join(told(result))


def test_later_looks_draw_what_is_new_and_stop_where_it_is_clear(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    preparation = prepared(tmp_path)
    (evaluation,) = preparation.evaluations(str(tmp_path / "p.jsonl"))
    behind = Planted(store, {("p", "incumbent"): 0.5, ("p", "aa"): 0.48})
    result = put_to_gate(store, behind, evaluation, preparation)
    draws = [draw for _, draw in behind.draws if draw.purpose == "aa"]
    assert draws == [Draw(2, 0, "aa"), Draw(2, 2, "aa")]
    lines = told(result)
    assert any("stop, it is behind" in line for line in lines)
    assert "nothing was seen where there is nothing" in lines[-2]


def test_the_guards_of_a_config_are_told_too(tmp_path: Path) -> None:
    """The first level is a run's own: alpha over its iterations; one guard loses 30 points."""
    file = write_config(tmp_path / "world.toml", write_recording(tmp_path / "recording.jsonl"))
    source = 'problems = {kind = "arithmetic", split = "seed", size = 400, levels = [1, 2, 3]}'
    file.write_text(
        f"{file.read_text()}\n"
        f'[[guards]]\nname = "other"\ngroup_size = 2\n{source}\n'
        '[[guards]]\nname = "cut"\nmetric = "truncated"\n'
    )
    store = Store(tmp_path / "store")
    preparation = prepared(tmp_path, "eval.temperature=0.6", config=file)
    (evaluation,) = preparation.evaluations("dev")
    planted = Planted(
        store,
        {
            ("dev", "incumbent"): 0.5,
            ("dev", "aa"): 0.5,
            ("other", "incumbent"): 0.8,
            ("other", "aa"): 0.5,
        },
    )
    result = put_to_gate(store, planted, evaluation, preparation)
    metrics = result["metrics"]
    assert metrics["level"] == pytest.approx(0.05 * 6 / math.pi**2)
    assert metrics["guards"]["other"]["verdict"] == "refused"
    assert metrics["guards"]["other"]["difference"] == pytest.approx(-0.3)
    assert metrics["guards"]["cut"]["metric"] == "truncated"
    assert [draw.count for name, draw in planted.draws if name == "other"] == [2, 2]
    lines = told(result)
    assert any(line.startswith("  guard other: refused, ") for line in lines)
    assert "guard other refused a checkpoint that is the same" in lines[-2]


def test_the_settings_are_those_of_the_evaluation(tmp_path: Path) -> None:
    preparation = prepared(tmp_path, "gate.kind=mcnemar", "gate.alpha=0.2")
    (evaluation,) = preparation.evaluations(str(tmp_path / "p.jsonl"))
    planted = Planted(Store(tmp_path / "store"), {("p", "incumbent"): 0.5, ("p", "aa"): 0.5})
    result = put_to_gate(Store(tmp_path / "store"), planted, evaluation, preparation)
    assert (result["metrics"]["level"], result["metrics"]["test"]) == (0.2, "mcnemar")
    assert [draw.count for _, draw in planted.draws] == [1, 1]
