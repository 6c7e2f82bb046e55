"""A run on a real engine that has no room for its prompts."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.world import SIZES, World, problems

ENGINE = 'engine={kind="transformers", device="cpu", max_model_len=10}'


def test_prompts_without_room_stop_the_run_at_its_first_eval(
    tmp_path: Path, prefect_url: str
) -> None:
    """All were too long, and the run ended in the ordinary way with 0.0 % everywhere."""
    world = World(tmp_path, prefect_url)
    done = world.ratchet("run", str(world.config), "--set", ENGINE)
    assert done.returncode == 2, done.stderr
    assert f"1 of the {SIZES['dev']} prompts of dev leave no room" in done.stderr
    assert "in the engine's 10 tokens, more than eval.max_too_long = 0.01 allows" in done.stderr
    assert any(
        f"of problem {problem.problem_id}, has" in done.stderr for problem in problems("dev")
    )
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("ledger.json")), "no stage was done"
    assert not any(world.home.iterdir()), "nothing is written outside the store"
