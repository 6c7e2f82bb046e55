"""A run: its config, and the ledger of the artifacts that it consists of."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ratchet.errors import InputError
from ratchet.store.artifacts import Artifact, Holder, Locked, Store
from ratchet.store.files import read_json, write_json
from ratchet.store.spent import Spent

STAGES = ("sample", "filter", "explore", "select", "train", "eval", "gate")
"""What an iteration does, in order; `select` and `gate` are the cheap ends of filter and eval,
`explore` measures what was drawn."""

State = Literal["running", "done", "failed", "interrupted", "suspended"]
MAX_NAME_CHARS = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_run_name(name: str) -> None:
    """Whether `name` can name a run's folder and its lock's file.

    Raises:
        InputError: if it can't.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        seen = repr(name) if len(name) <= MAX_NAME_CHARS else f"of {len(name):,} characters"
        raise InputError(
            f"run name {seen} can't name a folder; use 1 to {MAX_NAME_CHARS} letters, digits, "
            "'.', '_' and '-', a letter or digit first"
        )


class Suspended(Exception):
    """A person's word is waited for; the process ends, and `resume` goes on once it is there."""


@dataclass(frozen=True, slots=True)
class StepKey:
    """Where in a run a stage stands; `iteration` is None for what belongs to no iteration."""

    iteration: int | None
    stage: str
    subject: str = ""

    @property
    def name(self) -> str:
        """The step within its iteration, e.g. `sample`, `eval/gsm8k`."""
        return f"{self.stage}/{self.subject}" if self.subject else self.stage

    @property
    def step(self) -> str:
        """The ledger's key, e.g. `0/sample`, `1/eval/gsm8k`, `base/eval`, `test/final`."""
        if self.iteration is not None:
            return f"{self.iteration}/{self.name}"
        return self.name if self.stage == "test" else f"base/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One line of the ledger. `iteration` is None for what belongs to no iteration."""

    step: str
    iteration: int | None
    stage: str
    identity: str
    fingerprint: str
    reused: bool
    seconds: float

    @classmethod
    def of(cls, key: StepKey, artifact: Artifact, reused: bool, seconds: float) -> LedgerEntry:
        """The line that says that `artifact` stands at `key`."""
        return cls(
            step=key.step,
            iteration=key.iteration,
            stage=key.stage,
            identity=artifact.identity,
            fingerprint=artifact.fingerprint,
            reused=reused,
            seconds=seconds,
        )

    @property
    def key(self) -> StepKey:
        """Read back from the step: what follows the stage's name in it is the subject."""
        _, _, subject = self.step.partition(f"{self.stage}/")
        return StepKey(self.iteration, self.stage, subject)


@dataclass(frozen=True, slots=True, order=True)
class Redo:
    """A user's wish to do again everything from this iteration and stage on."""

    iteration: int
    stage: str

    def covers(self, iteration: int | None, stage: str) -> bool:
        if iteration is None:
            return False
        asked = (iteration, STAGES.index(stage))
        return (self.iteration, STAGES.index(self.stage)) <= asked


class Run:
    """One named history of artifacts. Every change is on disk before the call returns."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self.path = store.root / "runs" / name
        self._worked: Callable[[], float] | None = None
        """Seconds of work in all sessions until now; None while this process does not work."""

    @classmethod
    def create(cls, store: Store, name: str, config: Mapping[str, Any]) -> Run:
        """A new run, or the one of that name if it was made from the same config.

        Raises:
            InputError: if the name can't name a folder, or belongs to a run with another config.
        """
        run = cls.check(store, name, config)
        run.path.mkdir(parents=True, exist_ok=True)
        if not run._file("run").exists():
            record = {"name": name, "config": config, "created": time.time()}
            write_json(run._file("run"), record, private=True)
        return run

    @classmethod
    def check(cls, store: Store, name: str, config: Mapping[str, Any]) -> Run:
        """The run that `create` would give; nothing is written.

        Raises:
            InputError: as `create` does.
        """
        check_run_name(name)
        run = cls(store, name)
        if run._file("run").exists() and run.config != dict(config):
            raise InputError(
                f"run {name!r} exists with another config; give the new one another --name, "
                f"or go on with the old one: ratchet resume {name}"
            )
        return run

    @classmethod
    def open(cls, store: Store, name: str) -> Run:
        """An existing run.

        Raises:
            InputError: if there is none of that name, or nothing can have it.
        """
        check_run_name(name)
        run = cls(store, name)
        if not run._file("run").exists():
            known = ", ".join(sorted(r.name for r in list_runs(store))) or "none"
            raise InputError(f"no run {name!r} in {store.root}; runs there: {known}")
        return run

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.json"

    def _read(self, name: str, default: Any) -> Any:
        path = self._file(name)
        return read_json(path) if path.exists() else default

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = read_json(self._file("run"))["config"]
        return config

    @property
    def created(self) -> float:
        """Seconds since the epoch."""
        created: float = read_json(self._file("run"))["created"]
        return created

    def entries(self) -> dict[str, LedgerEntry]:
        """The ledger: step name -> entry, in the order of the run."""
        return {step: LedgerEntry(**entry) for step, entry in self._read("ledger", {}).items()}

    def record(self, entry: LedgerEntry) -> None:
        """Add an entry, or replace the one of the same step."""
        entries = {step: asdict(old) for step, old in self.entries().items()}
        entries[entry.step] = asdict(entry)
        write_json(self._file("ledger"), entries)
        if self._worked:
            self.update_status(wall_seconds=self._worked())

    def begin(self, key: StepKey) -> None:
        """Say which step is worked on from now on."""
        self.update_status(step=key.step)

    def keep_only(self, steps: Mapping[str, Any]) -> None:
        """Drop what an earlier attempt recorded and the finished run no longer consists of."""
        entries = self.entries()
        if set(entries) - set(steps):
            kept = {step: asdict(entries[step]) for step in steps if step in entries}
            write_json(self._file("ledger"), kept)

    @property
    def spent(self) -> Spent:
        """The alpha and the readings of the test set that the run has used up."""
        return Spent(self.path, self.name)

    @property
    def question(self) -> dict[str, Any]:
        """What a suspended run asks a person: the contest and its numbers; empty where nothing."""
        question: dict[str, Any] = self._read("question", {})
        return question

    def ask(self, contest: str, iteration: int, numbers: Mapping[str, Any]) -> None:
        """Put a contest to a person."""
        question = {"contest": contest, "iteration": iteration, "numbers": dict(numbers)}
        write_json(self._file("question"), question)

    def answers(self) -> dict[str, dict[str, Any]]:
        """contest -> what a person said of it: promote, by, note, at."""
        answers: dict[str, dict[str, Any]] = self._read("answers", {})
        return answers

    def answer(self, promote: bool, by: str, note: str) -> dict[str, Any]:
        """Record a person's word on the contest that waits for it.

        Raises:
            InputError: if none waits.
        """
        question = self.question
        if not question or question["contest"] in self.answers():
            raise InputError(
                f"run {self.name!r} waits for no decision; ratchet show {self.name} says what it "
                "is at"
            )
        word = {"promote": promote, "by": by, "note": note, "at": round(time.time(), 3)}
        write_json(self._file("answers"), {**self.answers(), question["contest"]: word})
        return {**question, **word}

    def redos(self) -> list[Redo]:
        return [Redo(**redo) for redo in self._read("redo", [])]

    def redo(self, redo: Redo) -> None:
        """From now on, what `redo` covers has another identity, so it is done again.

        The entries that it covers leave the ledger, and so does the test, which followed them.
        Where there are none, nothing was done since the wish before, and it counts once.
        """
        covered = any(redo.covers(e.iteration, e.stage) for e in self.entries().values())
        if redo in self.redos() and not covered:
            return
        kept = [
            entry.step
            for entry in self.entries().values()
            if entry.stage != "test" and not redo.covers(entry.iteration, entry.stage)
        ]
        self.keep_only(dict.fromkeys(kept))
        write_json(self._file("redo"), [asdict(r) for r in [*self.redos(), redo]])

    def redo_count(self, iteration: int | None, stage: str) -> int:
        """How many times the user asked for this stage to be done again."""
        return sum(redo.covers(iteration, stage) for redo in self.redos())

    def status(self) -> dict[str, Any]:
        """state, reason, step, engine_starts and wall_seconds.

        `step` is the last that was begun. The last two are sums over all sessions, those that were
        killed up to their last step.
        """
        empty = {"state": "new", "reason": "", "step": "", "engine_starts": 0, "wall_seconds": 0.0}
        status = {**empty, **self._read("status", {})}
        if status["state"] == "running" and self.holder() is None:
            reason = "its process ended without a word: killed, or the machine stopped"
            return {**status, "state": "interrupted", "reason": reason}
        return status

    def holder(self) -> Holder | None:
        """The process that works on this run now."""
        return self.store.holder(self._lock)

    def check_free(self) -> None:
        """
        Raises:
            InputError: if a process works on this run.
        """
        if holder := self.holder():
            raise self._busy(holder)

    def _busy(self, holder: Holder) -> InputError:
        return InputError(
            f"run {self.name!r} is being worked on by {holder}; wait for it to "
            "end, or stop it first"
        )

    @property
    def _lock(self) -> str:
        return f"run-{self.name}"

    def update_status(self, **changes: Any) -> None:
        write_json(self._file("status"), {**self.status(), **changes})

    def count_engine_start(self) -> None:
        self.update_status(engine_starts=self.status()["engine_starts"] + 1)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the run's lock; its terminal status is written by the holder alone, once.

        Raises:
            InputError: if another process works on this run.
        """
        with ExitStack() as held:
            try:
                held.enter_context(self.store.lock_now(self._lock))
            except Locked as error:
                raise self._busy(error.holder) from None
            before, started = self.status()["wall_seconds"], time.monotonic()
            self._worked = lambda: round(before + time.monotonic() - started, 3)
            self.update_status(state="running", reason="")
            end: dict[str, Any] = {"state": "interrupted", "reason": "stopped by the user"}
            try:
                yield
                end = {"state": "done", "reason": ""}
            except Suspended as error:
                end = {"state": "suspended", "reason": str(error)}
                raise
            except Exception as error:
                end = {"state": "failed", "reason": f"{type(error).__name__}: {error}"}
                raise
            finally:
                self.update_status(**end, wall_seconds=self._worked())
                self._worked = None


def reached_iterations(entries: Mapping[str, LedgerEntry]) -> list[int]:
    """The iterations that have an entry, in order."""
    return sorted({entry.iteration for entry in entries.values() if entry.iteration is not None})


def list_runs(store: Store) -> list[Run]:
    """All runs of a store, oldest first."""
    found = (Run(store, path.parent.name) for path in store.root.glob("runs/*/run.json"))
    return sorted(found, key=lambda run: run.created)


def redo_from(run: Run, iteration: int, stage: str) -> Redo:
    """The checked wish to do a run again from an iteration and stage on.

    Raises:
        InputError: if the run never came that far, or there is no such stage.
    """
    if stage not in STAGES:
        raise InputError(f"--from-stage {stage!r} is no stage; choose from {', '.join(STAGES)}")
    reached = reached_iterations(run.entries())
    asked = Redo(iteration, stage) in run.redos()
    if not asked and (iteration < 0 or iteration > max(reached, default=-1)):
        known = f"0 to {max(reached)}" if reached else "none yet"
        raise InputError(
            f"--from-iteration {iteration}: run {run.name!r} has no such iteration; it has {known}"
        )
    return Redo(iteration, stage)
