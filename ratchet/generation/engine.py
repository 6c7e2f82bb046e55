"""What an engine is: prompts in, groups of completions out, fed without a barrier.

An engine lives in a process of its own; a `Completer` is its other end in the flow's process. The
types stand here, in the core, because sampling and evaluation both speak them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ratchet.policy import Policy
from ratchet.records import FinishReason

PROMPT_TOO_LONG = "prompt_too_long"
"""The error of a group whose prompt leaves no room for a token of a completion."""


@dataclass(frozen=True, slots=True)
class Request:
    """Ask for `num_completions` completions of one problem's prompt, going on from `prefix`.

    `request_id` comes back with the group, and is unique among the requests of one `generate`. The
    prefix is a completion's beginning: it follows the prompt, is tokenized on its own, so that the
    prompt's token ids stay what they are, and is no part of what comes back. `first_attempt` is the
    number of the problem's completions that were asked for before: a recording goes on there.
    """

    request_id: str
    problem_id: str
    problem: str
    num_completions: int
    prefix: str = ""
    first_attempt: int = 0


class RequestSource(Protocol):
    """Where the engine's end takes requests from, whenever it has room for more."""

    def take(self) -> Request | None:
        """The next request; None where there is none for now.

        What comes back may bring more: it is asked again until nothing is pending.
        """


class RequestQueue:
    """Requests that are known beforehand, in order."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._requests = deque(requests)

    def take(self) -> Request | None:
        return self._requests.popleft() if self._requests else None


@dataclass(frozen=True, slots=True)
class Output:
    """One completion. `logprob`: sum over its tokens, in nats; None where the engine has none."""

    completion: str
    finish_reason: FinishReason
    num_tokens: int
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class SampledGroup:
    """The completions of one request.

    `num_prompt_tokens` counts the request's prefix too. `error` is set, and `outputs` holds empty
    completions with finish_reason "error", where the prompt could not be answered (a stable code,
    e.g. `prompt_too_long`). `limit`: the tokens of prompt and completion that the engine has room
    for, where the prompt is too long for it.
    """

    request_id: str
    problem_id: str
    prompt: str
    num_prompt_tokens: int
    outputs: tuple[Output, ...]
    error: str | None = None
    limit: int | None = None


def group_of(
    request: Request,
    prompt: str,
    num_prompt_tokens: int,
    outputs: tuple[Output, ...],
    error: str | None = None,
    limit: int | None = None,
) -> SampledGroup:
    """The answer to a request."""
    name, problem = request.request_id, request.problem_id
    return SampledGroup(name, problem, prompt, num_prompt_tokens, outputs, error, limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How completions are drawn; the same for every request between two `configure` calls.

    `seed` seeds the whole engine, not each request: per-request seeds fail on some devices, and
    neighbouring seeds share completions. `extra` holds further sampling parameters of the engine.
    """

    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    stop: tuple[str, ...] = ()
    extra: tuple[tuple[str, Any], ...] = ()


class EngineDied(RuntimeError):
    """The engine process ended or stalled; it can be started again and asked for the rest."""


class Completer(Protocol):
    """The flow's end of the engine process."""

    def generate(
        self, policy: Policy, sampling: Sampling, requests: RequestSource
    ) -> Iterator[SampledGroup]:
        """Groups in the order in which they finish; requests are taken as the engine has room.

        Raises:
            EngineDied: if the process ended; groups already yielded stay valid.
        """

    def release_device(self) -> None:
        """Have the engine give device memory back until the next `generate`."""


class Engine(Protocol):
    """One loaded model, inside the engine process. Calls come from one thread."""

    def load(self, policy: Policy) -> None:
        """Make `policy` the one that answers; swaps weights in place where that is possible."""

    def configure(self, sampling: Sampling) -> None:
        """Set how the next requests are sampled, and seed the engine."""

    def add(self, request: Request) -> None:
        """Queue a request."""

    def step(self) -> list[SampledGroup]:
        """Work a little; the groups that finished meanwhile."""

    def cancel(self) -> None:
        """Forget every request that was added and not yet returned."""

    @property
    def pending(self) -> int:
        """Requests that were added and not yet returned."""

    @property
    def unfinished(self) -> int:
        """Completions that were asked for and are not drawn yet."""

    def release_device(self) -> None:
        """Give device memory back while training runs; `load` takes it again."""
