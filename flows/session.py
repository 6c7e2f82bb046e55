"""One run at work: what the stages of `flows.improve` need, and how each of them is started."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from flows.config import RunConfig
from flows.display import Display
from ratchet.config import identity_settings
from ratchet.generation.engine import EngineDied
from ratchet.policy import base_policy
from ratchet.progress import Progress
from ratchet.store.artifacts import Artifact, Workspace
from ratchet.store.crash_points import crash_scope
from ratchet.store.identity import ArtifactSpec
from ratchet.store.ledger import LedgerEntry, Run, StepKey
from ratchet.verifier.grader import Grader
from samplers.config import engine_identity
from samplers.serving.client import EngineClient
from trainers.launch.process import TrainerDied, WarmWorker

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT}


class StageInputs(Protocol):
    """What a stage reads: a dataclass that says how far the work is by `progress`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def progress(self) -> Progress: ...


ConfigT = TypeVar("ConfigT", contravariant=True)
InputsT = TypeVar("InputsT", bound=StageInputs, contravariant=True)


class StagePackage(Protocol[ConfigT, InputsT]):
    """A module with a stage's shell."""

    def spec(self, config: ConfigT, inputs: InputsT, /) -> ArtifactSpec: ...

    def run(self, config: ConfigT, inputs: InputsT, out: Workspace, /) -> dict[str, Any]: ...


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

    def stage(
        self,
        key: StepKey,
        package: StagePackage[ConfigT, InputsT],
        config: ConfigT,
        inputs: InputsT,
    ) -> Artifact:
        """The artifact of a stage, as a Prefect task: reused, waited for, or made; then recorded.

        What can pass (a dead engine or trainer, a full disk) is tried again; finished shards stay.
        """
        retry = self.config.retry
        run_stage = _stage_task.with_options(
            retries=retry.attempts,
            retry_delay_seconds=list(retry.delays[: retry.attempts]) or 0,
            task_run_name=f"{self.run.name} {key.step}",
        )
        artifact: Artifact = run_stage(self, key, package, config, inputs)
        return artifact

    def build(
        self,
        key: StepKey,
        package: StagePackage[ConfigT, InputsT],
        config: ConfigT,
        inputs: InputsT,
    ) -> Artifact:
        """One try of a stage, without Prefect; made anew where the user asked for that."""
        started = time.monotonic()
        self.run.begin(key)
        with self.display.stage(key.step) as shown, crash_scope(key.stage):
            inputs = replace(inputs, progress=shown.progress)
            redone = self.run.redo_count(key.iteration, key.stage)
            try:
                artifact, reused = self.store.build(
                    package.spec(config, inputs).redone(redone),
                    lambda out: package.run(config, inputs, out),
                    on_wait=shown.waiting,
                )
            except (EngineDied, TrainerDied, OSError) as error:
                self.display.line(f"{key.step}: {error}")
                raise
            shown.finished(artifact.manifest, reused)
        self._record(key, artifact, reused, time.monotonic() - started)
        return artifact

    def note(self, key: StepKey, artifact: Artifact) -> None:
        """Record what was made before the stages."""
        self._record(key, artifact, reused=True, seconds=0.0)

    def _record(self, key: StepKey, artifact: Artifact, reused: bool, seconds: float) -> None:
        self.steps[key.step] = None
        known = self.run.entries().get(key.step)
        if known and known.identity == artifact.identity and reused:
            return
        self.run.record(LedgerEntry.of(key, artifact, reused, round(seconds, 3)))


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
    session: Session,
    key: StepKey,
    package: StagePackage[ConfigT, InputsT],
    config: ConfigT,
    inputs: InputsT,
) -> Artifact:
    return session.build(key, package, config, inputs)


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
