"""One run at work: what the stages of `flows.improve` need, and how each of them is started."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from flows.config import RunConfig
from flows.display import Display
from ratchet.config import identity_settings
from ratchet.generation.engine import EngineDied
from ratchet.policy import Policy, base_policy
from ratchet.store.artifacts import Artifact, Workspace
from ratchet.store.crash_points import crash_scope
from ratchet.store.identity import ArtifactSpec
from ratchet.store.ledger import LedgerEntry, Run, StepKey
from ratchet.verifier.grader import Grader
from samplers.config import engine_identity
from samplers.serving.client import EngineClient
from trainers.launch.process import TrainerDied, WarmWorker

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT}


class StagePackage(Protocol):
    """A module with a stage's shell. `inputs` is a dataclass with a field `progress`."""

    def spec(self, config: Any, inputs: Any) -> ArtifactSpec: ...

    def run(self, config: Any, inputs: Any, out: Workspace) -> dict[str, Any]: ...


@dataclass(frozen=True)
class EvaluatedPolicy:
    """A policy with its evaluations on dev and on each guard."""

    policy: Policy
    dev: Artifact
    guards: Mapping[str, Artifact] = field(default_factory=dict)


class Session:
    """Holds a run's parts while it works: store, ledger, engine process, grader, display."""

    def __init__(
        self, config: RunConfig, run: Run, engine: EngineClient, grader: Grader, display: Display
    ) -> None:
        self.config = config
        self.run = run
        self.store = run.store
        self.engine = engine
        self.grader = grader
        self.display = display
        self.base = base_policy(config.model)
        self.warm = WarmWorker()
        self.steps: dict[str, None] = {}
        """The steps that this pass over the run consists of, in order."""

    def decoding(self) -> dict[str, Any]:
        """What of engine and prompt can change a completion."""
        return {
            "engine": engine_identity(self.config.engine),
            "prompt": identity_settings(self.config.prompt),
        }

    @property
    def train_log(self) -> Path:
        return self.run.path / "logs" / "train.log"

    def redo_count(self, place: StepKey) -> int:
        return self.run.redo_count(place.iteration, place.stage)

    def stage(self, place: StepKey, package: StagePackage, config: Any, inputs: Any) -> Artifact:
        """The artifact of a stage, as a Prefect task: reused, waited for, or made; then recorded.

        What can pass (a dead engine or trainer, a full disk) is tried again; finished shards stay.
        """
        retry = self.config.retry
        run_stage = _stage_task.with_options(
            retries=retry.attempts,
            retry_delay_seconds=list(retry.delays[: retry.attempts]) or 0,
            task_run_name=f"{self.run.name} {place.step}",
        )
        artifact: Artifact = run_stage(self, place, package, config, inputs)
        return artifact

    def build(self, place: StepKey, package: StagePackage, config: Any, inputs: Any) -> Artifact:
        """One try of a stage, without Prefect."""
        started = time.monotonic()
        self.run.begin(place)
        with self.display.stage(place.step) as shown, crash_scope(place.stage):
            inputs = replace(inputs, progress=shown.progress)
            try:
                artifact, reused = self.store.build(
                    package.spec(config, inputs),
                    lambda out: package.run(config, inputs, out),
                    on_wait=shown.waiting,
                )
            except (EngineDied, TrainerDied, OSError) as error:
                self.display.line(f"{place.step}: {error}")
                raise
            shown.finished(artifact.manifest, reused)
        self._record(place, artifact, reused, time.monotonic() - started)
        return artifact

    def note(self, place: StepKey, artifact: Artifact) -> None:
        """Record what was made before the stages."""
        self._record(place, artifact, reused=True, seconds=0.0)

    def _record(self, place: StepKey, artifact: Artifact, reused: bool, seconds: float) -> None:
        self.steps[place.step] = None
        known = self.run.entries().get(place.step)
        if known and known.identity == artifact.identity and reused:
            return
        self.run.record(LedgerEntry.of(place, artifact, reused, round(seconds, 3)))


def passes_with_time(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed stage is worth another try."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, OSError):
        return error.errno in _DISK_ERRORS
    return isinstance(error, (EngineDied, TrainerDied))


@task(
    name="stage", cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=passes_with_time
)
def _stage_task(
    session: Session, place: StepKey, package: StagePackage, config: Any, inputs: Any
) -> Artifact:
    return session.build(place, package, config, inputs)


@contextmanager
def open_session(config: RunConfig, run: Run, display: Display) -> Iterator[Session]:
    """A session on a run; ends its processes when left."""
    logs = run.path / "logs"
    logs.mkdir(exist_ok=True)
    with run.working(), Grader() as grader, _engine(config, run, logs) as engine:
        session = Session(config, run, engine, grader, display)
        try:
            yield session
        finally:
            session.warm.close()


@contextmanager
def _engine(config: RunConfig, run: Run, logs: Path) -> Iterator[EngineClient]:
    with EngineClient(
        config.engine,
        config.prompt,
        log=logs / "engine.log",
        lora=config.trains_adapters,
        on_start=run.count_engine_start,
    ) as client:
        yield client
