"""Processes that work through batches side by side, in order; the death of one loses nothing."""

from __future__ import annotations

import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar

from ratchet.processes.parent import end_with

Key = TypeVar("Key")
Batch = TypeVar("Batch")
Result = TypeVar("Result")

RESTARTS = 10
"""Times that processes killed from outside are started anew."""


class Crew(Generic[Batch, Result]):
    """`processes` new processes that each call `begin(*settings)` once, then `work` on batches.

    `work`, `begin` and all that passes must be picklable, as the processes are spawned. A batch
    whose process was killed is worked on again. A context manager.
    """

    def __init__(
        self,
        processes: int,
        work: Callable[[Batch], Result],
        begin: Callable[..., None],
        settings: tuple[Any, ...] = (),
    ) -> None:
        self._processes = processes
        self._work = work
        # In a file: a pipe would hold up the start of one process until the one before has read it.
        self._folder = TemporaryDirectory(prefix="ratchet-crew-")
        self._settings = Path(self._folder.name) / "settings.pickle"
        self._settings.write_bytes(pickle.dumps((begin, settings)))
        self._restarts = 0
        self._executor = self._start()

    def __enter__(self) -> Crew[Batch, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._folder.cleanup()

    def map(self, batches: Iterable[tuple[Key, Batch]]) -> Iterator[tuple[Key, Result]]:
        """Each batch's result beside its key, in order; at most two batches ahead per process.

        Raises:
            RuntimeError: if the processes were killed more than `RESTARTS` times.
        """
        pending: deque[tuple[Key, Batch, Future[Result]]] = deque()
        for key, batch in batches:
            pending.append((key, batch, self._submit(batch)))
            if len(pending) > 2 * self._processes:
                yield self._next(pending)
        while pending:
            yield self._next(pending)

    def _next(self, pending: deque[tuple[Key, Batch, Future[Result]]]) -> tuple[Key, Result]:
        key, batch, future = pending.popleft()
        while True:
            try:
                return key, future.result()
            except BrokenProcessPool:
                self._restart()
                future = self._submit(batch)
                again = [(later, work, self._submit(work)) for later, work, _ in pending]
                pending.clear()
                pending.extend(again)

    def _submit(self, batch: Batch) -> Future[Result]:
        try:
            return self._executor.submit(self._work, batch)
        except BrokenProcessPool:
            self._restart()
            return self._executor.submit(self._work, batch)

    def _restart(self) -> None:
        self._restarts += 1
        if self._restarts > RESTARTS:
            raise RuntimeError(
                f"worker processes ended {RESTARTS} times, most likely killed for want of memory; "
                "use fewer processes"
            )
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._processes,
            get_context("spawn"),
            initializer=_begin,
            initargs=(self._settings, os.getpid()),
        )


def _begin(settings: Path, parent: int) -> None:
    """In a new process: what was asked to be called there first.

    A Ctrl-C on the terminal reaches this process too; it is the parent that ends the work. Of a
    parent that was killed nothing tells it: it holds the other end of its queue itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)
    begin, arguments = pickle.loads(settings.read_bytes())
    begin(*arguments)
