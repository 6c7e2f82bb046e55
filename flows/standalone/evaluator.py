"""Evaluations as artifacts of the store: what is there is used, and no engine starts for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from evals import stage as eval_stage
from evals.stage import Draw, EvalInputs
from flows.display import describe
from flows.engine_check import check_engine
from flows.standalone.benchmarks import Benchmark
from flows.standalone.checkpoints import Checkpoint
from flows.standalone.settings import StandaloneEval
from ratchet.config import identity_settings
from ratchet.policy import Policy
from ratchet.progress import Progress, Step
from ratchet.store.artifacts import Artifact, Store, Workspace
from ratchet.store.identity import digest
from ratchet.verifier.grader import GRADER_VERSION, Grader
from ratchet.visible import visible
from samplers.config import engine_identity
from samplers.serving.client import EngineClient

PURPOSE = "test"
"""What a standalone evaluation draws for: the same completions as a run's reading of its test."""


@dataclass(frozen=True)
class Evaluation:
    """One checkpoint on one benchmark, by these settings."""

    checkpoint: Checkpoint
    benchmark: Benchmark
    settings: StandaloneEval

    def told(self) -> dict[str, Any]:
        """What a figure must be shown with: how it came about."""
        settings, protocol = self.settings, self.benchmark.protocol
        greedy = settings.eval.temperature == 0
        return {
            "name": protocol.name if protocol else "",
            "prompt": digest(identity_settings(settings.prompt))[:12],
            "shots": list(protocol.shot_ids) if protocol else [],
            "temperature": settings.eval.temperature,
            "k": 1 if greedy else settings.eval.group_size,
            "max_tokens": settings.eval.max_tokens,
            "seed": None if greedy else settings.seed,
            "engine": settings.engine.kind,
            "answer_format": self.benchmark.rules.answer_format,
            "grader": GRADER_VERSION,
        }


@dataclass(frozen=True)
class MeasuredEvaluation:
    """An evaluation with its artifact, and whether that was there before.

    `test_reading` counts how often a run's test set was measured, where this is such a time.
    """

    evaluation: Evaluation
    artifact: Artifact
    reused: bool
    test_reading: int | None = None


class Evaluator:
    """Evaluates, one engine at a time: it is started when it is needed, and kept while it fits."""

    def __init__(self, store: Store, grader: Grader, running: ExitStack, *, lora: bool) -> None:
        self._store = store
        self._grader = grader
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._lora = lora
        self._running = running
        self._engine: EngineClient | None = None
        self._engine_key: Any = None

    def measure(self, evaluation: Evaluation, draw: Draw | None = None) -> MeasuredEvaluation:
        """The artifact of this evaluation, made where it is not there.

        Left out, `draw` is what a run's reading of its test set draws.

        Raises:
            InputError: if this machine or the engine can't do what the settings ask for.
            EngineDied: if the engine ended; what it had finished is kept for the next call.
        """
        settings = evaluation.settings
        policy = evaluation.checkpoint.policy_for(settings)
        with self._status(evaluation) as progress:
            inputs = self._inputs(evaluation, policy, draw, progress)

            def make(out: Workspace) -> dict[str, Any]:
                check_engine(settings.engine)
                return eval_stage.run(settings.eval, inputs, out)

            spec = eval_stage.spec(settings.eval, inputs)
            artifact, reused = self._store.build(spec, make)
        reading = None if reused else _count_reading(evaluation, policy)
        return MeasuredEvaluation(evaluation, artifact, reused, reading)

    def _inputs(
        self, evaluation: Evaluation, policy: Policy, draw: Draw | None, progress: Progress
    ) -> EvalInputs:
        settings, benchmark = evaluation.settings, evaluation.benchmark
        return EvalInputs(
            benchmark=benchmark.name,
            problems=benchmark.problems,
            problems_fingerprint=benchmark.fingerprint,
            rules=benchmark.rules,
            policy=policy,
            completer=self._engine_for(settings),
            grader=self._grader,
            decoding={
                "engine": engine_identity(settings.engine),
                "prompt": identity_settings(settings.prompt),
            },
            seed=settings.seed,
            draw=draw or Draw(settings.eval.group_size, 0, PURPOSE),
            progress=progress,
        )

    def _engine_for(self, settings: StandaloneEval) -> EngineClient:
        """The engine with these settings; another one ends first, as two may not fit a device."""
        key = (settings.engine, settings.prompt)
        if self._engine is None or self._engine_key != key:
            self._running.close()
            log = self._store.root / "logs" / "eval-engine.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            self._engine_key = key
            engine = EngineClient(settings.engine, settings.prompt, log, lora=self._lora)
            self._engine = self._running.enter_context(engine)
        return self._engine

    @contextmanager
    def _status(self, evaluation: Evaluation) -> Iterator[Progress]:
        name = f"{evaluation.checkpoint.name} on {evaluation.benchmark.name}"
        started = time.monotonic()
        with self._console.status(visible(name)) as status:

            def progress(step: Step) -> None:
                told = describe(step, time.monotonic() - started)
                status.update(visible(f"{name}: {told}"))

            yield progress


def _count_reading(evaluation: Evaluation, policy: Policy) -> int | None:
    """Count one more reading of a run's test set: its figures are shown now, whoever asked."""
    run, benchmark = evaluation.checkpoint.run, evaluation.benchmark
    if run is None or not benchmark.is_test:
        return None
    reading = run.spent.begin_reading(digest([policy.fingerprint, benchmark.fingerprint]))
    run.spent.finish_reading()
    return reading.number


@contextmanager
def open_evaluator(store: Store, *, lora: bool) -> Iterator[Evaluator]:
    """An evaluator whose processes end with it; `lora`: an adapter is among what it evaluates."""
    with Grader() as grader, ExitStack() as running:
        yield Evaluator(store, grader, running, lora=lora)


def result_of(measured: MeasuredEvaluation) -> dict[str, Any]:
    """One evaluation's answer for a program."""
    evaluation = measured.evaluation
    metrics: Mapping[str, Any] = measured.artifact.metrics
    return {
        "checkpoint": evaluation.checkpoint.name,
        "benchmark": evaluation.benchmark.name,
        "artifact": measured.artifact.identity,
        "reused": measured.reused,
        "test_reading": measured.test_reading,
        "protocol": evaluation.told(),
        "metrics": dict(metrics),
    }
