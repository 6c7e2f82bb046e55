"""One child process, seen from its parent: start, what it says, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ratchet.code_root import CODE_ROOT
from ratchet.processes.child import (
    Child,
    Program,
    SocketChild,
    child_environment,
    how_it_ended,
    indented,
    killed_by,
)
from tests.helpers.places import ROOT

MODULE = "ratchet_test_child"


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Program]:
    """A program with this text, in a folder of its own."""

    def make(text: str, *arguments: str, **changes: Any) -> Program:
        (tmp_path / f"{MODULE}.py").write_text(text)
        environment = child_environment(changes.pop("settings", None), places=[str(tmp_path)])
        return Program(module=MODULE, arguments=arguments, environment=environment, **changes)

    return make


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


SLEEP = "import time; time.sleep(600)"


# How it is started


def test_what_the_user_has_set_wins_over_defaults_and_not_over_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RATCHET_TEST_A", "user")
    monkeypatch.setenv("RATCHET_TEST_B", "user")
    found = child_environment({"RATCHET_TEST_B": "ours"}, defaults={"RATCHET_TEST_A": "default"})
    assert (found["RATCHET_TEST_A"], found["RATCHET_TEST_B"]) == ("user", "ours")
    assert os.environ["RATCHET_TEST_B"] == "user"


def test_a_child_finds_our_code_first_then_what_the_user_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "theirs")
    root = str(CODE_ROOT)
    assert child_environment()["PYTHONPATH"] == f"{root}{os.pathsep}theirs"
    assert child_environment(places=["", "here"])["PYTHONPATH"] == f"{root}{os.pathsep}here"
    monkeypatch.delenv("PYTHONPATH")
    assert child_environment()["PYTHONPATH"] == root == str(ROOT)


def test_the_current_folder_is_seen_unless_told_not_to_be(
    program: Callable[..., Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "only_here.py").touch()
    monkeypatch.chdir(here)
    for safe_path, code in ((False, 0), (True, 1)):
        look = program("import only_here", log=tmp_path / "log", safe_path=safe_path)
        assert Child(look).wait() == code


@pytest.mark.parametrize("own", [True, False])
def test_its_session_is_its_own_if_asked_for(program: Callable[..., Program], own: bool) -> None:
    child = Child(program(SLEEP, own_session=own))
    assert (os.getsid(child.pid) == child.pid) is own
    assert child.exit_code() is None
    assert child.kill() == -signal.SIGKILL


# What it says


def test_messages_go_both_ways_over_the_socket(program: Callable[..., Program]) -> None:
    text = (
        "import sys\n"
        "from multiprocessing.connection import Connection\n"
        "end = Connection(int(sys.argv[1]))\n"
        "end.send((sys.argv[2:], end.recv()))\n"
        "end.recv()\n"
    )
    child = SocketChild(program(text, "one", "two"))
    child.connection.send("three")
    assert child.connection.recv() == (["one", "two"], "three")
    child.close(20)
    assert child.exit_code() == 1, "it ended by itself, at the end of its input"
    assert child.connection.closed


def test_a_child_that_takes_nothing_off_its_socket_holds_nobody_up(
    program: Callable[..., Program],
) -> None:
    child = SocketChild(program(SLEEP), timeout=1)
    with pytest.raises(BlockingIOError):
        child.connection.send_bytes(b"?" * 10_000_000)
    child.kill()


def test_lines_go_both_ways_over_pipes_and_errors_to_the_log(
    program: Callable[..., Program], tmp_path: Path
) -> None:
    text = "import sys\nfor line in sys.stdin: print(line * 2, file=sys.stderr); print(line * 3)"
    child = Child(program(text, output="pipe", log=tmp_path / "logs" / "log"))
    child.input.write(b"go")
    child.input.close()
    assert child.output.read() == b"gogogo\n"
    assert child.wait() == 0
    assert child.last_lines(5) == ["gogo"]
    child.kill()


def test_the_last_lines_are_its_own_and_no_earlier_childs(
    program: Callable[..., Program], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    text = "import sys\nfor n in range(int(sys.argv[1])): print('line', n)"
    first = Child(program(text, "5", log=log))
    first.wait()
    silent = Child(program("", log=log))
    silent.wait()
    assert first.last_lines(2) == ["line 3", "line 4"]
    assert silent.last_lines(2) == []
    assert indented(first.last_lines(2)) == "  line 3\n  line 4"


def test_a_log_may_be_a_file_without_a_name(program: Callable[..., Program]) -> None:
    with os.fdopen(os.memfd_create("log"), "r+b") as log:
        child = Child(program("raise SystemExit('no')", log=log, output="nowhere"))
        assert child.wait() == 1
        assert child.last_lines(1) == ["no"]


# How it ends


def test_its_end_is_told_by_code_or_by_the_signals_name(program: Callable[..., Program]) -> None:
    assert how_it_ended(Child(program("raise SystemExit(3)")).wait()) == "ended with exit code 3"
    aborts = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert how_it_ended(Child(program(aborts)).wait()) == "was killed by SIGKILL"
    assert (killed_by(0), killed_by(3), killed_by(-15)) == (None, None, "SIGTERM")
    assert killed_by(-(signal.SIGRTMIN + 1)) == f"signal {signal.SIGRTMIN + 1}"


def test_one_that_does_not_end_in_time_is_killed(program: Callable[..., Program]) -> None:
    child = Child(program(SLEEP))
    assert child.wait_for(0.1) is None
    assert child.close(0.1) == -signal.SIGKILL
    assert child.kill() == -signal.SIGKILL, "as often as one likes"


def test_it_is_asked_to_end(program: Callable[..., Program]) -> None:
    child = Child(program(SLEEP))
    child.terminate()
    assert child.close(20) == -signal.SIGTERM


STARTS_ANOTHER = """
import subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(other.pid, flush=True)
if sys.argv[1] == "stays":
    time.sleep(600)
"""


@pytest.mark.parametrize("what", ["stays", "ends"])
def test_what_it_has_started_is_killed_with_it_and_after_it(
    program: Callable[..., Program], tmp_path: Path, what: str
) -> None:
    child = Child(program(STARTS_ANOTHER, what, log=tmp_path / "log"))
    wait_until(lambda: bool(child.last_lines(1)))
    (grandchild,) = map(int, child.last_lines(1))
    if what == "ends":
        assert child.wait() == 0
    assert is_running(grandchild)
    child.kill()
    wait_until(lambda: not is_running(grandchild))


PARENT = """
import os, sys, time
from ratchet.processes.child import Program, SocketChild
child = SocketChild(Program(module=sys.argv[1], arguments=(str(os.getpid()),)))
assert child.connection.recv() == "here"
print(child.pid, flush=True)
time.sleep(600)
"""
WATCHES = """
import sys, time
from multiprocessing.connection import Connection
from ratchet.processes.parent import end_with
end_with(int(sys.argv[2]))
Connection(int(sys.argv[1])).send("here")
time.sleep(600)
"""
READS = """
import sys
from multiprocessing.connection import Connection
end = Connection(int(sys.argv[1]))
end.send("here")
end.recv()
"""


@pytest.mark.parametrize("text", [WATCHES, READS], ids=["it watches", "its input ends"])
def test_it_ends_with_a_parent_that_was_killed(
    program: Callable[..., Program], tmp_path: Path, text: str
) -> None:
    environment = program(text).environment
    command = [sys.executable, "-c", PARENT, MODULE]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    wait_until(lambda: not is_running(child))


def test_no_descriptor_is_left_open_here_nor_passed_on(
    program: Callable[..., Program], tmp_path: Path
) -> None:
    text = "import os; print(*sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    before = os.listdir("/proc/self/fd")
    neighbour = SocketChild(program(SLEEP))
    child = SocketChild(program(text, log=tmp_path / "log"))
    assert child.wait() == 0
    (passed_on,) = child.last_lines(1)
    assert passed_on.split()[:3] == ["0", "1", "2"]
    assert len(passed_on.split()) == 4, "the three that all have, and its end of the socket"
    piped = Child(program("", output="pipe"))
    for each in (child, neighbour, piped):
        each.kill()
    assert os.listdir("/proc/self/fd") == before


def test_a_start_that_fails_leaves_nothing_open(
    program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        SocketChild(program(""))
    assert os.listdir("/proc/self/fd") == before


def test_after_a_fork_a_child_is_left_to_the_process_that_started_it(
    program: Callable[..., Program],
) -> None:
    child = SocketChild(program(SLEEP))
    forked = os.fork()
    if not forked:
        child.forget()
        os._exit(int(not child.connection.closed))
    assert os.waitpid(forked, 0)[1] == 0
    assert child.exit_code() is None
    child.kill()
