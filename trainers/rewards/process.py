"""A custom reward in a process that can be killed.

A process and no thread with a deadline: a function that hangs would go on in its thread for good,
and one that hangs in C holds the interpreter's lock, so that no deadline would ever be noticed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socketpair
from typing import Any

from ratchet.dotted_path import cannot_load
from trainers.config.rewards import CustomReward
from trainers.rewards.base import RewardFailed, Sampled, Values
from trainers.rewards.worker import READY

LOAD_SECONDS = 600.0
"""For importing the user's module, which may load a model."""


class RewardProcess:
    """Calls the user's function; a process that hung or died is started anew for the next batch.

    Raises:
        InputError: if the function can't be found.
    """

    def __init__(self, reward: CustomReward) -> None:
        self._reward = reward
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection
        self._start()

    def __call__(self, batch: Sequence[Sampled]) -> Values:
        """The function's values.

        Raises:
            RewardFailed: if it raised, took longer than `timeout`, or ended its process.
            InputError: if the function can't be loaded any more.
        """
        if self._process is None:
            self._start()
        kind, found = self._ask(list(batch), self._reward.timeout)
        if kind == "failed":
            raise RewardFailed(found)
        values: Values = found
        return values

    def close(self) -> None:
        """End the process, and those that the function started; harmless where there is none."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._connection.close()
        self._process = None

    def _start(self) -> None:
        ours, theirs = socketpair()
        with theirs:
            self._process = _launch(theirs.fileno())
        self._connection = Connection(ours.detach())
        reward = self._reward
        kind, why = self._ask((reward.path, reward.found_in, reward.settings), LOAD_SECONDS)
        if kind != READY:
            self.close()
            raise cannot_load(reward.path, reward.called, why)

    def _ask(self, question: Any, seconds: float) -> tuple[str, Any]:
        try:
            self._connection.send(question)
            if self._connection.poll(seconds):
                kind, found = self._connection.recv()
                return kind, found
            why = f"no answer after {seconds:g} s, so its process was killed"
        except (EOFError, OSError):
            why = f"its process {self._how_it_ended()}"
        self.close()
        return "failed", why

    def _how_it_ended(self) -> str:
        assert self._process is not None
        code = self._process.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _launch(descriptor: int) -> subprocess.Popen[bytes]:
    """The process, in a session of its own, so that what it starts can be killed with it."""
    root = str(Path(__file__).resolve().parents[2])
    places = [root, *filter(None, sys.path)]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "trainers.rewards.worker", str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[descriptor],
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
    )
