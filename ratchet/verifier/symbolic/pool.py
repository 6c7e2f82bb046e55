"""Processes that compare answers symbolically and may be killed: `symbolic.worker`, pooled.

Workers start when first needed, never by fork (the caller may hold threads), and die with the
process that started them: their input ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Literal

from ratchet.processes.child import Program, SocketChild, child_environment
from ratchet.verifier.rules import DEFAULT_RULES, AnswerRules

START_SECONDS = 120.0
"""How long a worker may take to import SymPy, on a busy machine."""
TRIES = 10
"""Workers in a row that may be killed from outside during one comparison."""
WALL_FACTOR = 5
"""A worker that is not done after this many times its CPU limit is stuck, and is killed."""

Ending = Literal["equal", "different", "timeout", "memory", "error"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a comparison ended; `disagreed` where the symbolic and the numeric method differed."""

    ending: Ending
    disagreed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    """What one comparison may cost: CPU seconds, and bytes of the worker's address space."""

    seconds: float = 2.0
    memory_bytes: int = 512 << 20


class WorkerDiedError(Exception):
    """The worker ended during a comparison, and not through its time limit."""


class Worker:
    """One `ratchet.verifier.symbolic.worker` process and the socket to it."""

    def __init__(self, limits: WorkerLimits) -> None:
        self._limits = limits
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by kill()
        self._process = SocketChild(_program(limits, self._log))
        self._connection = self._process.connection
        self._await_ready()

    def compare(self, question: bytes) -> Outcome:
        """The outcome of one comparison, as `ratchet.verifier.symbolic.worker` is asked for it.

        Raises:
            WorkerDiedError: if the process was ended from outside.
        """
        try:
            self._connection.send_bytes(question)
            if not self._connection.poll(self._limits.seconds * WALL_FACTOR):
                self.kill()
                return Outcome("timeout")
            reply = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            return self._outcome_of_death()
        if "equal" in reply:
            return Outcome("equal" if reply["equal"] else "different", reply["disagreed"])
        self.kill()  # what a failed comparison left behind must not reach the next one
        return Outcome("memory" if reply["error"] == "memory" else "error")

    @property
    def alive(self) -> bool:
        return not self._connection.closed and self._process.exit_code() is None

    def kill(self) -> None:
        """End the process now and wait for it; harmless where it has ended."""
        self._process.kill()
        self._log.close()

    def forget(self) -> None:
        """Close this process's end without touching the worker, which another process owns."""
        self._process.forget()
        self._log.close()

    def _outcome_of_death(self) -> Outcome:
        code = self._process.wait()
        self.kill()
        if code == -signal.SIGPROF:
            return Outcome("timeout")
        if code in (-signal.SIGSEGV, -signal.SIGABRT):
            return Outcome("memory")  # C code that got no memory, or ran over its stack
        raise WorkerDiedError(f"exit status {code}")

    def _await_ready(self) -> None:
        try:
            if self._connection.poll(START_SECONDS) and self._connection.recv_bytes() == b"ready":
                return
            seen = f"was not ready after {START_SECONDS:.0f} s"
        except (EOFError, OSError):
            seen = f"ended with status {self._process.wait()}"
        said = self._process.last_lines(1)
        self.kill()
        raise RuntimeError(
            f"the answer worker {seen}: {' '.join(said) or 'it said nothing'}; "
            f"try `{sys.executable} -c 'import math_verify'`"
        )


def _program(limits: WorkerLimits, log: IO[bytes]) -> Program:
    return Program(
        module="ratchet.verifier.symbolic.worker",
        arguments=(str(limits.seconds), str(limits.memory_bytes)),
        environment=child_environment(places=sys.path),
        safe_path=True,
        log=log,
        output="nowhere",
    )


class WorkerPool:
    """At most `size` workers, lent to whichever thread asks."""

    def __init__(self, size: int, limits: WorkerLimits) -> None:
        self.size = size
        self._limits = limits
        self._owner: int
        self._idle: list[Worker]
        self._lock: threading.Lock
        self._slots: threading.BoundedSemaphore
        self._closed: bool
        self._reset()

    def compare(self, reference: str, answer: str, policy: AnswerRules = DEFAULT_RULES) -> Outcome:
        """The outcome of one comparison; a worker killed from outside costs another try.

        Raises:
            RuntimeError: if workers cannot start.
        """
        settings = policy.model_dump(exclude_defaults=True)
        question = json.dumps([reference, answer, settings]).encode()
        for _ in range(TRIES):
            with suppress(WorkerDiedError), self._lent() as worker:
                return worker.compare(question)
        return Outcome("error")

    def close(self) -> None:
        """End the idle workers; those at work end when they are handed back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        if self._owner == os.getpid():
            for worker in idle:
                worker.kill()

    @contextmanager
    def _lent(self) -> Iterator[Worker]:
        if self._owner != os.getpid():
            self._leave_to_parent()
        with self._slots:
            worker = self._take()
            try:
                yield worker
            except BaseException:
                worker.kill()  # a reply may be on its way, and would answer the next question
                raise
            self._hand_back(worker)

    def _take(self) -> Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                worker.kill()
        return Worker(self._limits)

    def _hand_back(self, worker: Worker) -> None:
        with self._lock:
            if worker.alive and not self._closed:
                self._idle.append(worker)
                return
        worker.kill()

    def _leave_to_parent(self) -> None:
        """After a fork the sockets are shared with the parent: let go of them, and start anew."""
        for worker in self._idle:
            worker.forget()
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._idle = []
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(self.size)
        self._closed = False
