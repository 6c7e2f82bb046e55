"""The process of one custom reward: `python -m trainers.rewards.worker <descriptor>`.

Over the socket comes (path, folder, settings), then one list of `Sampled` after the other.
Answered is each time ("values", list), ("no_function", why) or ("failed", why).
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from inspect import signature
from multiprocessing.connection import Connection
from typing import Any

from ratchet.dotted_path import find
from trainers.rewards.base import READY

Answer = tuple[str, Any]


def main(descriptor: int) -> None:
    """Answer until the other end closes."""
    os.dup2(2, 1)  # what the function prints is no message
    connection = Connection(descriptor)
    questions: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, questions), daemon=True).start()
    function, answer = _load(*questions.get())
    _send(connection, answer)
    while function:
        # In the main thread, as functions that set alarms for themselves need it.
        _send(connection, _ask(function, questions.get()))


def _listen(connection: Connection, questions: queue.SimpleQueue[Any]) -> None:
    """Also while the function works, so that this process doesn't outlive its parent."""
    while True:
        try:
            questions.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)


def _load(
    path: str, folder: str | None, settings: dict[str, Any]
) -> tuple[Callable[..., Any] | None, Answer]:
    try:
        function = partial(find(path, folder), **settings)
        signature(function).bind([])  # it takes a batch, and each setting by its name
    except Exception as error:  # noqa: BLE001 - the user's module may raise anything
        return None, ("no_function", _said(error))
    return function, (READY, None)


def _ask(function: Callable[..., Any], batch: Any) -> Answer:
    try:
        return "values", [_plain(value) for value in function(batch)]
    except Exception as error:  # noqa: BLE001 - recorded for each completion
        return "failed", _said(error)


def _plain(value: Any) -> Any:
    """What can be told the parent: numbers as they are, and what is none as its text."""
    return value if value is None or type(value) in (bool, int, float, str) else _number(value)


def _number(value: Any) -> Any:
    """NumPy's numbers and tensors of one number are as good as Python's."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return repr(value)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _send(connection: Connection, answer: Answer) -> None:
    try:
        connection.send(answer)
    except OSError:  # the parent is gone, or has given up on this answer
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
