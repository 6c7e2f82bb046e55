"""The worker's end of `launch.process`: its messages, its errors, its death with its parent."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from ratchet.errors import InputError
from trainers.launch.process import TrainingDiverged


class Reporting(Protocol):
    """Takes a training's messages."""

    def send(self, event: str, **content: Any) -> None: ...


class Reports:
    """Writes messages to the pipe that was standard output; prints go to the log from now on."""

    def __init__(self) -> None:
        self._pipe: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def send(self, event: str, **content: Any) -> None:
        """One message; whole lines only, so that the ranks of a launcher can share the pipe."""
        self._pipe.write(json.dumps({"event": event, **content}) + "\n")
        self._pipe.flush()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Tell the parent why this process is about to stop."""
        try:
            yield
        except InputError as error:
            self._stop("input", str(error))
        except TrainingDiverged as error:
            self._stop("diverged", str(error))
        except Exception as error:
            self.send("error", kind="failed", message=f"{type(error).__name__}: {error}")
            raise

    def _stop(self, kind: str, message: str) -> None:
        self.send("error", kind=kind, message=message)
        # Other ranks may wait for this one in a collective operation; the launcher ends them.
        sys.exit(1)


class Jobs:
    """The job files that the parent names, one after the other.

    This process ends with the pipe on standard input, which ends with the process that holds its
    other end. Linux's parent-death signal would come with the end of the thread that started us,
    and the flow's threads come and go.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._named: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for argument in arguments:
            self._named.put(Path(argument))
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self) -> Path:
        """Wait for a job."""
        return self._named.get()

    def _listen(self) -> None:
        line = b""
        while byte := os.read(0, 1):
            line += byte
            if byte == b"\n":
                self._named.put(Path(line.decode().strip()))
                line = b""
        os.kill(os.getpid(), signal.SIGKILL)
