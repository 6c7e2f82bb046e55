"""The problem sets of a config, loaded and compared before anything is started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flows.config import RunConfig, load_config
from flows.preflight import problem_sets
from ratchet.errors import InputError
from ratchet.store import Store

sys.path.insert(0, str(Path(__file__).parent))
from world import write_config, write_recording


def with_guard(tmp_path: Path, split: str, name: str = "kept") -> RunConfig:
    """The world's config with a guard whose problems are those of one of its own sets."""
    path = write_config(tmp_path / "world.toml", write_recording(tmp_path / "recording.jsonl"))
    problems = f'{{kind="arithmetic", split="{split}", size=60, levels=[1, 2]}}'
    return load_config(path, [f'guards=[{{name="{name}", problems={problems}}}]'])


def test_a_guard_may_hold_devs_problems_and_comes_after_the_three_sets(tmp_path: Path) -> None:
    config = with_guard(tmp_path, "dev")
    assert list(config.sources()) == ["train", "dev", "test", "kept"]
    sets = problem_sets(config, Store(tmp_path / "store"))
    assert list(sets) == ["train", "dev", "test", "kept"]
    assert sets["kept"].fingerprint == sets["dev"].fingerprint


def test_a_guard_that_holds_trains_problems_is_refused(tmp_path: Path) -> None:
    config = with_guard(tmp_path, "train")
    with pytest.raises(InputError, match="train and kept share"):
        problem_sets(config, Store(tmp_path / "store"))


@pytest.mark.parametrize("name", ["train", "dev", "test", "benchmark-0"])
def test_a_guard_cannot_take_the_place_of_another_set(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="guards need names of their own"):
        with_guard(tmp_path, "dev", name)
