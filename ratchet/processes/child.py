"""The parent's end of a child process: how it is started, what it says, how it ends.

A child is a new interpreter and never a fork, as callers hold threads. That it ends with a parent
that was killed is seen to at its own end: by `processes.parent`, or because its input ends.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any, Literal

from ratchet.code_root import CODE_ROOT


def child_environment(
    settings: Mapping[str, str] | None = None,
    *,
    defaults: Mapping[str, str] | None = None,
    places: Iterable[str] | None = None,
) -> dict[str, str]:
    """This process's environment, with `settings` over it and `defaults` under it.

    PYTHONPATH begins with the code's root, so that a child runs the same code. After it come
    `places`, or else what the user has set; `sys.path` lets a child find all that we find.
    """
    found = {**(defaults or {}), **os.environ, **(settings or {})}
    if places is None:
        places = [found.get("PYTHONPATH", "")]
    found["PYTHONPATH"] = os.pathsep.join([str(CODE_ROOT), *filter(None, places)])
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a child runs, and with what around it."""

    module: str
    """Run as `python -m`."""
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=child_environment)
    safe_path: bool = False
    """Whether the current folder is left off its `sys.path` (`python -P`)."""
    log: Path | IO[bytes] | None = None
    """Where its errors are added; None is where ours go. A file object stays its owner's."""
    output: Literal["log", "nowhere", "pipe"] = "log"
    """Where it prints to; with a pipe there is another for its input, which is empty otherwise."""
    own_session: bool = True
    """So that a terminal's Ctrl-C does not reach it, and what it starts is killed with it."""

    def command(self) -> list[str]:
        safe_path = ["-P"] if self.safe_path else []
        return [sys.executable, *safe_path, "-m", self.module, *self.arguments]


class Child:
    """A running program, which is this process's to end."""

    def __init__(self, program: Program, inherited: tuple[int, ...] = ()) -> None:
        self._program = program
        self._killed = False
        if isinstance(program.log, Path):
            program.log.parent.mkdir(parents=True, exist_ok=True)
        with _opened(program.log, "ab") as log:
            self._log_start = log.tell() if log else 0
            outputs = {"log": log, "nowhere": subprocess.DEVNULL, "pipe": subprocess.PIPE}
            self._process = subprocess.Popen(
                program.command(),
                env=program.environment,
                stdin=subprocess.PIPE if program.output == "pipe" else subprocess.DEVNULL,
                stdout=outputs[program.output],
                stderr=log,
                pass_fds=inherited,
                start_new_session=program.own_session,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def input(self) -> IO[bytes]:
        """The pipe to its standard input."""
        assert self._process.stdin is not None, "it was started without pipes"
        return self._process.stdin

    @property
    def output(self) -> IO[bytes]:
        """The pipe from its standard output."""
        assert self._process.stdout is not None, "it was started without pipes"
        return self._process.stdout

    def exit_code(self) -> int | None:
        """As `subprocess` tells it: the negative number of a signal that killed it.

        None while it runs.
        """
        return self._process.poll()

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait()

    def wait_for(self, seconds: float) -> int | None:
        """Its exit code; None if it runs on after so many seconds."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def close(self, seconds: float) -> int:
        """Close our end, have it end by itself in so many seconds, or else kill it."""
        self._let_go()
        self.wait_for(seconds)
        return self.kill()

    def kill(self) -> int:
        """End it at once, with all of its session, and wait for it; harmless where it has ended."""
        if not self._killed:
            self._send_kill()
        self._killed = True  # its group's number may be another's by the next time
        self._let_go()
        return self._process.wait()

    def _send_kill(self) -> None:
        if not self._program.own_session:
            self._process.kill()
            return
        # macOS refuses where only a process is left that nobody has waited for.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def forget(self) -> None:
        """After a fork, in the new process: close our end of a child that is the parent's."""
        self._let_go()
        self._process.returncode = 0

    def _let_go(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()

    def last_lines(self, count: int) -> list[str]:
        """The last of what it has written to its log."""
        with _opened(self._program.log, "rb") as log:
            if log is None:
                return []
            log.seek(self._log_start)
            return log.read().decode(errors="replace").rstrip().splitlines()[-count:]


class SocketChild(Child):
    """A child with a socket between us and it: its end's descriptor is its first argument.

    With `timeout`, sending or receiving raises BlockingIOError after so many seconds in which
    nothing was taken off the socket, or no more came of a message that had begun.
    """

    def __init__(self, program: Program, timeout: float | None = None) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            if timeout is not None:
                limit = struct.pack("ll", int(timeout), 0)
                for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                    ours.setsockopt(socket.SOL_SOCKET, option, limit)
            end = theirs.fileno()
            arguments = (str(end), *program.arguments)
            super().__init__(replace(program, arguments=arguments), inherited=(end,))
            self.connection: Connection[Any, Any] = Connection(ours.detach())

    def _let_go(self) -> None:
        super()._let_go()
        self.connection.close()


def killed_by(code: int) -> str | None:
    """The signal's name; None for the exit code of a process that ended by itself."""
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"  # real-time signals have numbers only


def how_it_ended(code: int) -> str:
    """For a message: "was killed by SIGKILL", or "ended with exit code 1"."""
    killer = killed_by(code)
    return f"was killed by {killer}" if killer else f"ended with exit code {code}"


def indented(lines: Iterable[str]) -> str:
    """Lines of a log, as messages show them."""
    return "\n".join(f"  {line}" for line in lines)


def _opened(
    log: Path | IO[bytes] | None, mode: Literal["ab", "rb"]
) -> AbstractContextManager[IO[bytes] | None]:
    return log.open(mode) if isinstance(log, Path) else nullcontext(log)
