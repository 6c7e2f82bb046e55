from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import trainers.rewards.table as rewards_table
from trainers.rewards.table import FILE, RewardTable


def make_row(step: int, reward: float | None = 1.0) -> dict[str, Any]:
    return {
        "step": step,
        "group": 0,
        "attempt": 0,
        "problem_id": "p",
        "completion": f"text {step}",
        "finish_reason": "stop",
        "num_tokens": 3,
        "correct": reward,
        "reward": reward,
        "advantage": 0.0,
        "failure": None if reward is not None else "correct: broken",
    }


def test_a_save_writes_what_is_new_and_memory_holds_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewards_table, "_HELD_ROWS", 10)
    table = RewardTable(["correct"], tmp_path / "parts")
    for step in range(95):
        table.add(make_row(step))
        assert len(table._held) < 10
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "parts").iterdir()}
    table.save(tmp_path / "checkpoint-95")
    assert len(before) == 9
    assert {f: f.stat().st_mtime_ns for f in before} == before
    assert len(list((tmp_path / "parts").iterdir())) == 10
    table.write(tmp_path)
    assert pq.read_table(tmp_path / FILE)["step"].to_pylist() == list(range(95))


def test_a_resumed_table_goes_on_from_its_restart_point(tmp_path: Path) -> None:
    table = RewardTable(["correct"], tmp_path / "parts")
    for step in range(4):
        table.add(make_row(step))
        table.save(tmp_path / f"checkpoint-{step}")
    again = RewardTable(["correct"], tmp_path / "parts")
    again.load(tmp_path / "checkpoint-1")
    again.add(make_row(7, None))
    again.write(tmp_path)
    assert pq.read_table(tmp_path / FILE)["step"].to_pylist() == [0, 1, 7]
    assert again.metrics() == {
        "completions": 3,
        "completions_unrewarded": 1,
        "reward_failures": 1,
        "groups": 3,
        "groups_zero_variance": 3,
        "tokens_learned": 9,
    }


def test_a_restart_point_that_holds_all_rows_itself_is_read_too(tmp_path: Path) -> None:
    old = RewardTable(["correct"], tmp_path / "old")
    old.add(make_row(0))
    old.write(tmp_path / "checkpoint-0")
    again = RewardTable(["correct"], tmp_path / "parts")
    again.load(tmp_path / "checkpoint-0")
    again.add(make_row(1))
    assert again.metrics()["completions"] == 2
