"""Processes that work through batches."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.helpers.places import ROOT

SCRIPT = """
import os, time
from ratchet.processes.pool import Crew

def begin():
    pass

def work(seconds):
    time.sleep(seconds)
    return os.getpid()

if __name__ == "__main__":
    with Crew(2, work, begin) as crew:
        workers = {pid for _, pid in crew.map((index, 0.2) for index in range(4))}
        print(*workers, flush=True)
        time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_crew_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """It waited for its next batch for ever."""
    script = tmp_path / "crew_of_two.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert parent.stdout
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert workers
    assert all(is_running(pid) for pid in workers)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while left := [pid for pid in workers if is_running(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
