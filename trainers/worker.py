"""The worker's end of `trainers.process`: its messages, its errors, its death with its parent."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ratchet.errors import InputError
from trainers.process import TrainingDiverged

_PR_SET_PDEATHSIG = 1


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


def wait_for_job(arguments: list[str]) -> Path:
    """The job file: the argument where there is one, else the line that the parent sends.

    A parent that goes away without sending one ends this process.
    """
    if arguments:
        return Path(arguments[0])
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        line += byte
    return Path(line.decode().strip())


def die_with_parent() -> None:
    """End this process when its parent dies, or when the pipe on standard input ends.

    The kernel's signal is at once but Linux only, and reaches the launcher's children only when
    the launcher dies; the pipe ends everywhere with the process that holds its other end.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
