"""A custom reward in a process that can be killed.

A process and no thread with a deadline: a function that hangs would go on in its thread for good,
and one that hangs in C holds the interpreter's lock, so that no deadline would ever be noticed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ratchet.dotted_path import cannot_load
from ratchet.processes.child import Program, SocketChild, child_environment, killed_by
from trainers.config.rewards import CustomReward
from trainers.rewards.base import READY, RewardFailed, Sampled, Values

LOAD_SECONDS = 600.0
"""For importing the user's module, which may load a model."""


class RewardProcess:
    """Calls the user's function; a process that hung or died is started anew for the next batch.

    Raises:
        InputError: if the function can't be found.
    """

    def __init__(self, reward: CustomReward) -> None:
        self._reward = reward
        self._process: SocketChild | None = None
        self._start()

    def __call__(self, batch: Sequence[Sampled]) -> Values:
        """The function's values.

        Raises:
            RewardFailed: if it raised, took longer than `timeout`, or ended its process.
            InputError: if the function can't be loaded any more.
        """
        process = self._process or self._start()
        kind, found = self._ask(process, list(batch), self._reward.timeout)
        if kind == "failed":
            raise RewardFailed(found)
        values: Values = found
        return values

    def close(self) -> None:
        """End the process, and those that the function started; harmless where there is none."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _start(self) -> SocketChild:
        self._process = process = SocketChild(_program())
        reward = self._reward
        question = (reward.path, reward.found_in, reward.settings)
        kind, why = self._ask(process, question, LOAD_SECONDS)
        if kind != READY:
            self.close()
            raise cannot_load(reward.path, reward.called, why)
        return process

    def _ask(self, process: SocketChild, question: Any, seconds: float) -> tuple[str, Any]:
        try:
            process.connection.send(question)
            if process.connection.poll(seconds):
                kind, found = process.connection.recv()
                return kind, found
            why = f"no answer after {seconds:g} s, so its process was killed"
        except (EOFError, OSError):
            why = f"its process {_how_it_ended(process.wait())}"
        self.close()
        return "failed", why


def _how_it_ended(code: int) -> str:
    killer = killed_by(code)
    return f"was killed by {killer}" if killer else f"ended with {code}"


def _program() -> Program:
    """In a session of its own, so that what the function starts can be killed with it."""
    return Program(
        module="trainers.rewards.worker",
        environment=child_environment(places=sys.path),
        safe_path=True,
        output="nowhere",
    )
