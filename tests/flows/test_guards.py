"""Whole runs with guards: one that holds, one that the candidate fails, one without verdicts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ratchet.problems.arithmetic import generate
from ratchet.records import Problem
from tests.helpers.world import LEVELS, World, wrong

SIZE = 40
MARGIN = 0.1
"""Forty problems can't show less: the default of two points would be underpowered."""
SEEDS = {"holds": 1, "falls": 2, "silent": 3}
"""Each guard's problems are those of another seed."""


def guard_problems(name: str) -> list[Problem]:
    return generate("test", SIZE, LEVELS, SEEDS[name])


def record(world: World) -> None:
    """Base and candidate solve all of `holds`, the candidate half of `falls`; `silent` is left out
    of the recording, so that every request for it fails."""
    rows = [
        {
            "problem_id": problem.problem_id,
            "attempt": 0,
            "policy_iteration": iteration,
            "completion": problem.solution if solved else wrong(problem),
        }
        for name in ("holds", "falls")
        for at, problem in enumerate(guard_problems(name))
        for iteration, solved in ((-1, True), (0, name == "holds" or at % 2 == 0))
    ]
    with (world.folder / "recording.jsonl").open("a") as recording:
        recording.write("".join(json.dumps(row) + "\n" for row in rows))


def guard_tables(*names: str) -> str:
    return "".join(
        f'[[guards]]\nname = "{name}"\nmargin = {MARGIN}\n'
        '[guards.problems]\nkind = "arithmetic"\nsplit = "test"\n'
        f"size = {SIZE}\nlevels = {list(LEVELS)}\nseed = {SEEDS[name]}\n"
        for name in names
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, prefect_url: str) -> World:
    made = World(tmp_path_factory.mktemp("guards"), prefect_url)
    record(made)
    return made


def run_guarded(world: World, *names: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """A run of one iteration with these guards: exit code, its iteration, its gate's metrics."""
    config = world.folder / f"{'-'.join(names)}.toml"
    config.write_text(world.config.read_text() + guard_tables(*names))
    name = config.stem
    done = world.ratchet("run", str(config), "--name", name, "--set", "iterations=1", "--json")
    assert done.stdout, done.stderr
    (iteration,) = json.loads(done.stdout)["iterations"]
    folder = world.folder / "store" / "artifacts" / iteration["artifacts"]["gate"]
    return done.returncode, iteration, json.loads((folder / "manifest.json").read_text())["metrics"]


def test_a_candidate_that_every_guard_lets_through_is_promoted(world: World) -> None:
    code, iteration, gate = run_guarded(world, "holds")
    assert (code, iteration["promoted"]) == (0, True)
    assert gate["guards"]["holds"]["passed"] is True
    assert gate["guards"]["holds"]["n"] == SIZE


def test_a_guard_that_falls_or_has_no_verdicts_keeps_the_incumbent(world: World) -> None:
    """All verdicts missing was a traceback of the gate, and most of them missing passed."""
    code, iteration, gate = run_guarded(world, "holds", "falls", "silent")
    assert (code, iteration["promoted"]) == (3, False)
    assert {name: guard["passed"] for name, guard in gate["guards"].items()} == {
        "holds": True,
        "falls": False,
        "silent": False,
    }
    assert "McNemar, 20 gained, 0 lost" in iteration["reason"]
    assert "guard falls: refused, accuracy 100.0" in iteration["reason"]
    silent = f"none of the incumbent's {SIZE} completions could be graded"
    assert silent in iteration["reason"]
