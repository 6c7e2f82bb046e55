"""The problem sets of a config, loaded and compared before anything is started."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from flows.config import RunConfig, dump_config, load_config
from flows.preflight import preflight, problem_sets
from ratchet.errors import InputError
from ratchet.store.artifacts import Store
from tests.helpers.world import write_config, write_recording


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
    with pytest.raises(InputError, match="train shares 24 of its 24 problems"):
        problem_sets(config, Store(tmp_path / "store"))


@pytest.mark.parametrize("name", ["train", "dev", "test", "benchmark-0"])
def test_a_guard_cannot_take_the_place_of_another_set(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="guards need names of their own"):
        with_guard(tmp_path, "dev", name)


OWN = """
class Known:
    def mark(self, problem, completion):
        return None

from os import remove

def narrow():
    return []

def known(batch):
    return [1.0] * len(batch)
"""
FILTER = 'filters=[{{kind="custom", path="own_code:{name}"}}]'
REWARD = 'trainer={{kind="grpo", rewards=[{{kind="custom", name="own", path="own_code:{name}"}}]}}'


@pytest.mark.parametrize(
    ("setting", "name", "told"),
    [
        (FILTER, "Known", None),
        (FILTER, "Unknown", "filter 'custom': own_code:Unknown can't be loaded"),
        (FILTER, "known", "own_code:known is no class with a method mark"),
        (REWARD, "known", None),
        (REWARD, "narrow", "own_code:narrow can't be loaded: TypeError: too many positional"),
        (REWARD, "remove", "own_code:remove can't be loaded: TypeError: remove is no class"),
        (REWARD, "unknown", "reward 'own': own_code:unknown can't be loaded"),
    ],
)
def test_a_users_code_is_loaded_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, name: str, told: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_code", raising=False)
    (tmp_path / "own_code.py").write_text(OWN)
    path = write_config(tmp_path / "world.toml", write_recording(tmp_path / "recording.jsonl"))
    changes = [setting.format(name=name), 'selection={kind="grpo"}'][
        : 2 if "grpo" in setting else 1
    ]
    tables = dump_config(load_config(path, changes))
    store = Store(tmp_path / "store")
    if told is None:
        preflight(tables, "run", store)
    else:
        with pytest.raises(InputError, match=re.escape(told)):
            preflight(tables, "run", store)


def test_a_users_settings_are_passed_on_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_code.py").write_text(OWN)
    (tmp_path / "words").write_text("")
    path = write_config(tmp_path / "world.toml", write_recording(tmp_path / "recording.jsonl"))
    settings = '{path="words", model="words"}'
    own = f'filters=[{{kind="custom", path="own_code:Known", settings={settings}}}]'
    own_template = 'prompt.chat_template_args={model="words"}'
    config = dump_config(load_config(path, [own, own_template]))
    assert config["prompt"]["chat_template_args"] == {"model": "words"}
    (stored,) = config["filters"]
    assert stored["settings"] == {"path": "words", "model": "words"}
    assert stored["found_in"] == str(tmp_path)


def test_a_server_that_could_not_answer_for_the_candidate_is_refused_before_it_is_asked(
    tmp_path: Path,
) -> None:
    """It was found out after a whole iteration had been sampled and trained."""
    path = write_config(tmp_path / "world.toml", write_recording(tmp_path / "recording.jsonl"))
    config = load_config(path, ['engine={kind="openai", url="http://localhost:1/v1"}'])
    with pytest.raises(InputError, match="no candidate could be evaluated"):
        preflight(dump_config(config), "world", Store(tmp_path / "store"))
