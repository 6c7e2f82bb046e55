"""The engine process: `python -m samplers.serving.server SOCKET_FD PARENT_PID`.

One loop takes messages without blocking while there is work, and steps the engine. Answers leave
through a thread of their own, so that a flow that is busy writing a shard never holds the device
up; the flow bounds what can pile up by what it asks for.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import assert_never

from ratchet.errors import InputError
from ratchet.generation.engine import Engine
from ratchet.processes.parent import end_with
from ratchet.store.crash_points import crash_point
from samplers.config import (
    OpenAIEngineConfig,
    ReplayEngineConfig,
    TransformersEngineConfig,
    VllmEngineConfig,
)
from samplers.serving.messages import (
    Add,
    Alive,
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

_ALIVE_SECONDS = 1.0


def build_engine(start: Start) -> Engine:
    """The engine that the config names; it loads nothing yet."""
    config = start.engine
    match config:
        case VllmEngineConfig():
            from samplers.engines.vllm import VllmEngine

            return VllmEngine(config, start.prompt, lora=start.lora)
        case TransformersEngineConfig():
            from samplers.engines.transformers import TransformersEngine

            return TransformersEngine(config, start.prompt)
        case ReplayEngineConfig():
            from samplers.engines.replay import ReplayEngine

            return ReplayEngine(config)
        case OpenAIEngineConfig():
            from samplers.engines.openai import OpenAIEngine

            return OpenAIEngine(config, start.prompt)
        case _:
            assert_never(config)


class Sender:
    """Sends answers from a thread of its own."""

    def __init__(self, connection: Connection[FromEngine, ToEngine]) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[FromEngine | None] = queue.SimpleQueue()
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def send(self, message: FromEngine) -> None:
        self._last = time.monotonic()
        self._queue.put(message)

    def alive(self) -> None:
        """Say that there is progress, now and then, and never into a queue that is not taken."""
        if time.monotonic() - self._last > _ALIVE_SECONDS and self._queue.empty():
            self.send(Alive())

    def close(self) -> None:
        """Send what is left, then stop."""
        self._queue.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (message := self._queue.get()) is not None:
            try:
                self._connection.send(message)
            except OSError:
                return  # the flow is gone; the main loop sees the end of its stream


class Server:
    """The loop between one engine and one flow."""

    def __init__(self, connection: Connection[FromEngine, ToEngine], engine: Engine) -> None:
        self._connection = connection
        self._engine = engine
        self._sender = Sender(connection)
        self._epoch = -1

    def serve(self) -> None:
        """Work until the flow closes its end.

        Any error but the user's ends the process with a traceback in its log: the flow tells it
        by the exit code, and starts another.
        """
        try:
            while True:
                self._take_messages()
                self._step()
        except (EOFError, ConnectionResetError):
            return
        except InputError as error:
            self._sender.send(Refused(str(error)))
        finally:
            self._sender.close()

    def _take_messages(self) -> None:
        while not self._engine.pending or self._connection.poll(0):
            self._handle(self._connection.recv())

    def _handle(self, message: ToEngine) -> None:
        match message:
            case Begin():
                self._engine.cancel()
                self._engine.load(message.policy)
                self._engine.configure(message.sampling)
                self._epoch = message.epoch
                self._sender.send(Loaded(message.epoch))
            case Add():
                for request in message.requests:
                    self._engine.add(request)
            case Cancel():
                self._engine.cancel()
            case Release():
                self._engine.release_device()
                self._sender.send(Released())
            case Start():
                raise RuntimeError("the engine was started twice; this is a defect of the client")
            case _:
                assert_never(message)

    def _step(self) -> None:
        before = self._engine.unfinished
        groups = self._engine.step()
        crash_point("engine_step")
        if drawn := before - self._engine.unfinished:
            self._sender.send(Finished(self._epoch, tuple(groups), drawn))
        else:
            self._sender.alive()


def _has_workers(start: Start) -> bool:
    """Whether the engine has processes of its own, which it must end itself."""
    return isinstance(start.engine, VllmEngineConfig) and start.engine.tensor_parallel_size > 1


def main() -> None:
    """Serve the flow at the other end of the socket given on the command line."""
    handle, parent = int(sys.argv[1]), int(sys.argv[2])
    end_with(parent)
    connection: Connection[FromEngine, ToEngine] = Connection(handle)
    try:
        start = connection.recv()
    except EOFError:
        return
    if not isinstance(start, Start):
        raise TypeError(f"the first message was {start!r}, expected Start")
    Server(connection, build_engine(start)).serve()
    if not _has_workers(start):
        sys.stdout.flush()
        os._exit(0)  # nothing is left to save, and taking torch and vLLM down costs seconds


if __name__ == "__main__":
    main()
