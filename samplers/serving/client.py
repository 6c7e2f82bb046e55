"""The flow's end of the engine process: starts it, feeds it, notices its death, ends it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from ratchet.errors import InputError
from ratchet.generation.engine import (
    EngineDied,
    Request,
    RequestSource,
    SampledGroup,
    Sampling,
)
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import Policy
from ratchet.processes.child import (
    Program,
    SocketChild,
    child_environment,
    how_it_ended,
    indented,
    killed_by,
)
from samplers.config import EngineConfig, VllmEngineConfig
from samplers.serving.messages import (
    Add,
    Begin,
    Cancel,
    Finished,
    FromEngine,
    Loaded,
    Refused,
    Release,
    Released,
    Start,
    ToEngine,
)

_TICK_SECONDS = 1.0
_END_SECONDS = 20.0
_LOG_LINES = 15

MessageT = TypeVar("MessageT", Loaded, Released)


def engine_environment(config: EngineConfig, first: bool) -> dict[str, str]:
    """The engine process's environment; what the user has set wins over our defaults.

    An injected fault (`ratchet.store.crash_points`) is for the first engine only: its successors
    would die at the same point for ever.
    """
    ours = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "PYTHONUNBUFFERED": "1",
    }
    if isinstance(config, VllmEngineConfig) and config.tensor_parallel_size == 1:
        # we are a process of our own already; one more would cost a minute at each start
        ours["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    environment = child_environment(defaults=ours)
    if not first:
        environment.pop("RATCHET_CRASH_AT", None)
    return environment


class EngineProcess:
    """One running engine process and the socket to it."""

    def __init__(self, start: Start, log: Path, *, first: bool) -> None:
        self._log = log
        # An engine that hangs takes nothing off its socket, nor puts a whole message on it.
        self._timeout = start.engine.stall_timeout
        program = Program(
            module="samplers.serving.server",
            arguments=(str(os.getpid()),),
            environment=engine_environment(start.engine, first),
            log=log,
        )
        self._child = SocketChild(program, self._timeout)
        self._connection: Connection[ToEngine, FromEngine] = self._child.connection
        self.send(start)

    @property
    def pid(self) -> int:
        return self._child.pid

    def send(self, message: ToEngine) -> None:
        """Raises EngineDied if nobody is there to take it, or nobody does."""
        try:
            self._connection.send(message)
        except BlockingIOError:
            raise self._stalled(self._timeout) from None
        except OSError:
            raise self._died() from None

    def receive(self, timeout: float) -> list[FromEngine]:
        """All messages that are there, at least one.

        Raises:
            EngineDied: if the process ended, or said nothing for `timeout` seconds.
            InputError: if the engine can't do what the user's settings ask for.
        """
        self._wait(timeout)
        messages: list[FromEngine] = []
        while self._connection.poll(0):
            try:
                message = self._connection.recv()
            except BlockingIOError:
                raise self._stalled(self._timeout) from None
            except (EOFError, ConnectionResetError):
                if messages:
                    break
                raise self._died() from None
            if isinstance(message, Refused):
                raise InputError(message.reason)
            messages.append(message)
        return messages

    def _wait(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self._connection.poll(_TICK_SECONDS):
            if self._child.exit_code() is not None and not self._connection.poll(0):
                raise self._died()
            if time.monotonic() > deadline:
                raise self._stalled(timeout)

    def _stalled(self, timeout: float) -> EngineDied:
        self.kill()
        return EngineDied(
            f"the engine (pid {self.pid}) did nothing for {timeout:g} s, so it was killed; if it "
            "is only slow, raise engine.start_timeout (loading) or engine.stall_timeout "
            f"(sampling)\n{self._last_lines()}"
        )

    def _died(self) -> EngineDied:
        code = self._child.close(_END_SECONDS)
        killer = killed_by(code)
        how = f"ended by {killer}" if killer else how_it_ended(code)
        if code == -signal.SIGKILL:
            how += " (the kernel does that when memory runs out)"
        return EngineDied(f"the engine (pid {self.pid}) {how}\n{self._last_lines()}")

    def _last_lines(self) -> str:
        tail = indented(self._child.last_lines(_LOG_LINES))
        return f"the last lines of its log {self._log}:\n{tail}" if tail else f"log: {self._log}"

    def close(self) -> None:
        """Have the process end by itself, or else kill it."""
        self._child.close(_END_SECONDS)

    def kill(self) -> None:
        """End the process and all that it started, at once."""
        self._child.kill()


class EngineClient:
    """A `Completer` over an engine process that is started when it is first needed.

    It may be used from any thread, but from one at a time. `on_start` is called after each start
    of a process. `in_flight` bounds the completions asked for and not yet drawn.
    """

    def __init__(
        self,
        engine: EngineConfig,
        prompt: PromptConfig,
        log: Path,
        *,
        lora: bool = False,
        on_start: Callable[[], None] = lambda: None,
        in_flight: int | None = None,
    ) -> None:
        self._engine = engine
        self._start = Start(engine, prompt, lora)
        self._log = log
        self._on_start = on_start
        self._in_flight = in_flight or engine.in_flight
        self._process: EngineProcess | None = None
        self._starts = 0
        self._epoch = 0

    @property
    def pid(self) -> int | None:
        """The engine's process id, while there is one."""
        return self._process.pid if self._process else None

    def generate(
        self, policy: Policy, sampling: Sampling, requests: RequestSource
    ) -> Iterator[SampledGroup]:
        """Groups in the order in which they finish.

        The first request is taken once the policy is loaded; a later call, or the end of this
        generator, abandons what is still pending.

        Raises:
            EngineDied: if the process ended or stalled; groups already yielded stay valid, and
                the next call starts another process.
            InputError: if the engine can't do what the settings ask for.
        """
        self._epoch += 1
        epoch, complete = self._epoch, False
        try:
            process = self._load(policy, sampling, epoch)
            yield from self._stream(process, epoch, requests)
            complete = True
        except (EngineDied, InputError):
            self._discard()
            raise
        finally:
            if not complete and epoch == self._epoch:
                self._cancel()

    def _load(self, policy: Policy, sampling: Sampling, epoch: int) -> EngineProcess:
        process = self._running()
        process.send(Begin(epoch, policy, sampling))
        while self._await(process, Loaded).epoch != epoch:
            pass
        return process

    def _running(self) -> EngineProcess:
        if self._process is None:
            self._process = EngineProcess(self._start, self._log, first=not self._starts)
            self._starts += 1
            self._on_start()
        return self._process

    def _await(self, process: EngineProcess, kind: type[MessageT]) -> MessageT:
        while True:
            for message in process.receive(self._engine.start_timeout):
                if isinstance(message, kind):
                    return message

    def _stream(
        self, process: EngineProcess, epoch: int, requests: RequestSource
    ) -> Iterator[SampledGroup]:
        flow = _Flow(requests, self._in_flight)
        while True:
            if batch := flow.next_batch():
                process.send(Add(batch))
            if not flow.pending:
                return
            groups: list[SampledGroup] = []
            for message in process.receive(self._engine.stall_timeout):
                if isinstance(message, Finished) and message.epoch == epoch:
                    groups.extend(message.groups)
                    flow.finished(message)
            if batch := flow.next_batch():
                # before the groups are handed out, lest the engine waits for what is done to them
                process.send(Add(batch))
            for group in groups:
                yield group
                if epoch != self._epoch:
                    raise RuntimeError("this generate was abandoned: a later one has begun")

    def _cancel(self) -> None:
        if self._process is not None:
            try:
                self._process.send(Cancel())
            except EngineDied:
                self._discard()

    def _discard(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def release_device(self) -> None:
        """Have the engine give device memory back, and wait until it has."""
        if self._process is None:
            return
        try:
            self._process.send(Release())
            self._await(self._process, Released)
        except EngineDied:
            self._discard()  # a dead engine holds no memory; the next generate starts another

    def close(self) -> None:
        """End the engine process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def __enter__(self) -> EngineClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._discard()  # it has nothing to save, and may be in a step that takes minutes
        self.close()


class _Flow:
    """What is at the engine, and how much more may go there.

    Completions are counted as they end, not as their groups do: else a few long completions, each
    of which keeps its group open, would leave the engine with little to do.
    """

    def __init__(self, requests: RequestSource, limit: int) -> None:
        self._requests = requests
        self._limit = limit
        self._completions = 0
        self.pending = 0

    def next_batch(self) -> tuple[Request, ...]:
        """Requests that fill the engine up."""
        batch: list[Request] = []
        while self._completions < self._limit:
            request = self._requests.take()
            if request is None:
                break
            batch.append(request)
            self._completions += request.num_completions
        self.pending += len(batch)
        return tuple(batch)

    def finished(self, message: Finished) -> None:
        self.pending -= len(message.groups)
        self._completions -= message.drawn
