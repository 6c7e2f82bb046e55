"""Points where a test can have this process killed, as a power cut or the OOM killer would.

`RATCHET_CRASH_AT=name:3` sends SIGKILL to the process at the third time that it passes the point
`name`; `scope/name:3` counts only the passes inside `crash_scope("scope")`. Without the variable a
point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_TARGET, _, _COUNT = os.environ.get("RATCHET_CRASH_AT", "").partition(":")
_seen = 0
_scope = ""


@contextmanager
def crash_scope(name: str) -> Iterator[None]:
    """Name what the process is doing, so that a crash point can be aimed at it."""
    global _scope
    before, _scope = _scope, name
    try:
        yield
    finally:
        _scope = before


def crash_point(name: str) -> None:
    """Kill this process here if the environment asks for it."""
    global _seen
    if not _TARGET or _TARGET not in (name, f"{_scope}/{name}"):
        return
    _seen += 1
    if _seen == int(_COUNT or 1):
        os.kill(os.getpid(), signal.SIGKILL)
