"""A process that ends with the one that started it."""

from __future__ import annotations

import os
import signal
import threading
import time

_WATCH_SECONDS = 0.5


def end_with(parent: int) -> None:
    """End this process and its workers once the process `parent`, which started it, is gone.

    The end of a pipe's or socket's stream says so too, but not while one long step or load runs,
    nor where another child of the parent still holds its end. Linux's parent-death signal is no
    help: it comes at the end of the thread that started us, and the flow's threads come and go.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
