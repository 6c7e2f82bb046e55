"""The echo engine: it says each problem again."""

from __future__ import annotations

from collections import deque

from ratchet.generation.engine import Output, Request, SampledGroup, Sampling, group_of
from ratchet.policy import Policy
from samplers.config import EchoEngineConfig


class EchoEngine:
    """Answers each request with its problem's text."""

    def __init__(self, config: EchoEngineConfig) -> None:
        self._suffix = config.suffix
        self._queue: deque[Request] = deque()

    def load(self, policy: Policy) -> None:
        """Every policy says the same."""

    def configure(self, sampling: Sampling) -> None:
        """Nothing is drawn."""

    def add(self, request: Request) -> None:
        self._queue.append(request)

    def step(self) -> list[SampledGroup]:
        return [self._answer(self._queue.popleft())] if self._queue else []

    def _answer(self, request: Request) -> SampledGroup:
        text = request.problem + self._suffix
        outputs = (Output(text, "stop", len(text)),) * request.num_completions
        return group_of(request, request.problem, len(request.problem), outputs)

    def cancel(self) -> None:
        self._queue.clear()

    @property
    def pending(self) -> int:
        return len(self._queue)

    @property
    def unfinished(self) -> int:
        return sum(request.num_completions for request in self._queue)

    def release_device(self) -> None:
        """Nothing is held."""
