"""vLLM asks the demo's model and an adapter of it: one engine process for all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from evals.stage import Draw
from flows.standalone.evaluator import Evaluation, Evaluator, open_evaluator
from flows.standalone.pairing import compared, paired_lines
from flows.standalone.prepare import EvalRequest, prepare
from ratchet.records import EvalRow
from ratchet.store.artifacts import Store
from samplers.serving import client
from tests.helpers.evaluated import arithmetic, write_problems
from tests.helpers.places import SEED_MODEL
from tests.helpers.tiny_models import save_adapter

SETTINGS = (
    "engine.dtype=float32",
    "engine.max_model_len=512",
    "engine.max_num_seqs=64",
    "engine.enforce_eager=true",
    "eval.max_tokens=128",
    "eval.group_size=2",
    "prompt.template={problem}",
)


@dataclass
class Asked:
    evaluator: Evaluator
    base: Evaluation
    adapted: Evaluation
    starts: list[int]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    pytest.importorskip("vllm.version", reason="vLLM is not installed")
    folder = tmp_path_factory.mktemp("asked")
    problems = write_problems(folder / "problems.jsonl", arithmetic(24))
    adapter = save_adapter(folder / "adapter", SEED_MODEL)
    store = Store(folder / "store")
    wanted = EvalRequest(benchmarks=(str(problems),), settings=SETTINGS)
    prepared = prepare(store, [str(SEED_MODEL), str(adapter)], wanted)
    base, adapted = prepared.evaluations(str(problems))
    starts: list[int] = []
    start = client.EngineProcess.__init__

    def counted(self: client.EngineProcess, *arguments: object, **named: object) -> None:
        start(self, *arguments, **named)  # type: ignore[arg-type]
        starts.append(self.pid)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client.EngineProcess, "__init__", counted)
        with open_evaluator(store, lora=prepared.needs_lora) as evaluator:
            yield Asked(evaluator, base, adapted, starts)


def test_a_model_and_its_adapter_are_compared_by_one_engine(asked: Asked) -> None:
    """The adapter's weights are random: it can only have lost."""
    found = compared(asked.evaluator, asked.base, asked.adapted)
    assert found.found is not None
    assert len(asked.starts) == 1
    assert found.a["metrics"]["mean"] > 0.2
    assert found.found.difference < 0
    assert found.a["metrics"]["best_of_k"]["n"] == 24
    assert "worse" in paired_lines(found)[0] or "cannot tell" in paired_lines(found)[0]


def test_what_was_asked_is_not_asked_again(asked: Asked) -> None:
    first = asked.evaluator.measure(asked.base)
    again = asked.evaluator.measure(asked.base)
    assert again.reused
    assert again.artifact.fingerprint == first.artifact.fingerprint
    assert len(asked.starts) == 1


def test_draws_for_another_purpose_are_other_completions(asked: Asked) -> None:
    one, other = (
        asked.evaluator.measure(asked.base, Draw(2, 0, purpose)).artifact
        for purpose in ("incumbent", "aa")
    )
    texts = [[row.completion for row in each.rows(EvalRow)] for each in (one, other)]
    assert len(texts[0]) == len(texts[1]) == 48
    assert texts[0] != texts[1]
    assert all(row.logprob is not None and row.logprob <= 0 for row in one.rows(EvalRow))
    assert len(asked.starts) == 1
