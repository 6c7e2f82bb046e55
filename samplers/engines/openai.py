"""The openai engine: an OpenAI-compatible server's model, asked by a bounded number of threads.

Each completion is a request of its own, so that one that fails is one completion lost.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

from ratchet.errors import InputError
from ratchet.generation.engine import (
    PROMPT_TOO_LONG,
    Request,
    SampledGroup,
    Sampling,
    group_of,
)
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import Policy
from ratchet.store.identity import derive_seed
from samplers.config import OpenAIEngineConfig, check_prompt
from samplers.engines.openai_calls import ServerCalls
from samplers.engines.openai_wire import REQUEST_REFUSED, Asked, ServerAnswer

_STEP_SECONDS = 0.05
MOST_GIVEN_UP = 16
"""Completions given up with none answered between, after which the server counts as broken."""


class ServerGone(RuntimeError):
    """The server answers nothing, or nothing of use; another engine process may find it again."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """An answer, and the request and attempt that it is for."""

    key: int
    attempt: int
    answer: ServerAnswer


@dataclass
class _Open:
    """A request whose answers are not all there; `answers` by attempt."""

    request: Request
    prompt: str
    answers: dict[int, ServerAnswer] = field(default_factory=dict)


class _Threads:
    """Threads that draw, and what they have drawn. Thrown away whole, as none can be ended."""

    def __init__(self, count: int) -> None:
        self.ended = Event()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="request")
        self._done: queue.SimpleQueue[Future[_Drawn]] = queue.SimpleQueue()

    def start(self, draw: Callable[[], _Drawn]) -> None:
        self._pool.submit(draw).add_done_callback(self._done.put)

    def take(self) -> list[_Drawn]:
        """What was drawn meanwhile; waits a moment where there is nothing.

        Raises:
            InputError: if a draw did.
        """
        drawn: list[_Drawn] = []
        try:
            drawn.append(self._done.get(timeout=_STEP_SECONDS).result())
            while True:
                drawn.append(self._done.get_nowait().result())
        except queue.Empty:
            return drawn

    def abandon(self) -> None:
        """Send nothing more. What is under way ends by itself, and nobody hears of it."""
        self.ended.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


class OpenAIEngine:
    """The model behind a URL. It is what it is: no policy can be loaded into it."""

    def __init__(self, config: OpenAIEngineConfig, prompt: PromptConfig) -> None:
        self._config = config
        self._prompt = prompt
        self._calls: ServerCalls | None = None
        self._sampling: Sampling | None = None
        self._threads = _Threads(config.concurrency)
        self._open: dict[int, _Open] = {}
        self._requests = 0
        self._unfinished = 0
        self._held: list[_Drawn] = []
        self._answered = 0
        self._given_up = 0
        self._counts_tokens = True

    def load(self, policy: Policy) -> None:
        """Find the server.

        Raises:
            InputError: if the policy was trained, the prompts can't be sent, or the server can't be
                reached, refuses the key or has no such model.
        """
        if policy.iteration >= 0 or policy.adapter is not None:
            raise InputError(
                f"the server at {self._config.url} answers with its own model, so what was trained "
                'can\'t be loaded into it; set engine.kind = "vllm"'
            )
        try:
            check_prompt(self._config, self._prompt)
        except ValueError as error:
            raise InputError(str(error)) from None
        if self._calls is None:
            calls = ServerCalls(self._config)
            calls.connect()
            self._calls = calls

    def configure(self, sampling: Sampling) -> None:
        """Set how the next requests are sampled; each has a seed of its own, made from this one."""
        self._sampling = sampling
        self._answered = self._given_up = 0

    def add(self, request: Request) -> None:
        """Queue a request.

        Raises:
            InputError: if it has a prefix.
        """
        if request.prefix:
            raise InputError(
                "an OpenAI-compatible server can't be asked to go on from a completion's beginning "
                "token by token; use a sampler that asks for none, or another engine"
            )
        self._requests += 1
        self._open[self._requests] = _Open(request, self._text(request.problem))
        self._unfinished += request.num_completions
        for attempt in range(request.num_completions):
            self._start(self._requests, request, attempt)

    def _start(self, key: int, request: Request, attempt: int) -> None:
        calls, sampling, ended = self._calls, self._sampling, self._threads.ended
        if calls is None or sampling is None:
            raise RuntimeError("a request came before load and configure")
        asked = Asked(
            self._sent(request.problem),
            sampling,
            derive_seed(sampling.seed, request.request_id, attempt),
            dict(self._prompt.chat_template_args),
        )
        self._threads.start(lambda: _Drawn(key, attempt, calls.draw(asked, ended)))

    def _content(self, problem: str) -> str:
        return self._prompt.template.replace("{problem}", problem)

    def _sent(self, problem: str) -> list[dict[str, str]] | str:
        if self._config.api == "completions":
            return self._text(problem)
        system = [{"role": "system", "content": self._prompt.system}]
        user = [{"role": "user", "content": self._content(problem)}]
        return (system if self._prompt.system else []) + user

    def _text(self, problem: str) -> str:
        """The prompt as it is written to rows: of messages their texts, as the server renders them
        where we don't see it."""
        gap = "\n\n" if self._config.api == "chat" and self._prompt.system else ""
        return f"{self._prompt.system}{gap}{self._content(problem)}"

    def cancel(self) -> None:
        if self._open:
            self._threads.abandon()
            self._threads = _Threads(self._config.concurrency)
        self._open.clear()
        self._held.clear()
        self._unfinished = 0

    def step(self) -> list[SampledGroup]:
        """The groups that came to be whole.

        Raises:
            InputError: if the server refuses the key, the model or the settings.
            ServerGone: if it answers nothing any more, or nothing of use.
        """
        groups = [self._take(drawn) for drawn in self._sure(self._threads.take())]
        return [group for group in groups if group is not None]

    def _sure(self, drawn: list[_Drawn]) -> list[_Drawn]:
        """What is judged by now. A refusal may be of one prompt or of the settings, and so of all:
        it is held until something was answered, or all that was asked is refused."""
        self._answered += sum(one.answer.error is None for one in drawn)
        self._held += drawn
        if self._answered:
            sure, self._held = self._held, []
            return sure
        sure = [one for one in self._held if not one.answer.by_settings]
        self._held = [one for one in self._held if one.answer.by_settings]
        if self._held and len(self._held) == self._unfinished - len(sure):
            raise InputError(
                f"the server at {self._config.url} refuses what it is asked: "
                f"{self._held[0].answer.why}\ncorrect the sampling settings, their params, or "
                "[prompt]"
            )
        return sure

    def _take(self, drawn: _Drawn) -> SampledGroup | None:
        """Keep one completion; its group once all of it is there."""
        self._judge(drawn.answer)
        held = self._open[drawn.key]
        held.answers[drawn.attempt] = drawn.answer
        self._unfinished -= 1
        if len(held.answers) < held.request.num_completions:
            return None
        del self._open[drawn.key]
        answers = [answer for _, answer in sorted(held.answers.items())]
        return group_of(
            held.request,
            held.prompt,
            max(answer.num_prompt_tokens for answer in answers),
            tuple(answer.output for answer in answers),
            next((answer.error for answer in answers if answer.error), None),
            next((answer.limit for answer in answers if answer.limit), None),
        )

    def _judge(self, answer: ServerAnswer) -> None:
        """Whether what failed is this completion alone, or everything."""
        if answer.error is None:
            self._given_up = 0
            self._note_tokens(answer)
            return
        print(f"no completion ({answer.error}): {answer.why}", file=sys.stderr)
        if answer.error not in {PROMPT_TOO_LONG, REQUEST_REFUSED}:
            self._given_up += 1
            self._check_server(answer)

    def _check_server(self, answer: ServerAnswer) -> None:
        assert self._calls is not None
        url = self._config.url
        if answer.unreachable and not self._calls.is_there():
            raise ServerGone(f"the server at {url} answers no more: {answer.why}")
        if self._given_up >= MOST_GIVEN_UP:
            raise ServerGone(
                f"the server at {url} gave nothing of use for {self._given_up} completions in a "
                f"row; the last: {answer.why}"
            )

    def _note_tokens(self, answer: ServerAnswer) -> None:
        if self._counts_tokens and answer.output.completion and not answer.output.num_tokens:
            self._counts_tokens = False
            print(f"{self._config.url} counts no tokens: they are 0 in the rows", file=sys.stderr)

    @property
    def pending(self) -> int:
        return len(self._open)

    @property
    def unfinished(self) -> int:
        return self._unfinished

    def release_device(self) -> None:
        """Nothing is held here."""


def served_model(config: OpenAIEngineConfig) -> str:
    """The name of the model that would answer, asked of the server.

    Raises:
        InputError: as `OpenAIEngine.load` does.
    """
    calls = ServerCalls(config)
    calls.connect()
    return calls.model
