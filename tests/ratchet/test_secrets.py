"""What of a config others may see."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet.config import identity_settings
from ratchet.secrets import MASK, is_secret, masked, shown
from samplers.config import VllmEngineConfig


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "hf_token",
        "hub_token",
        "HF_TOKEN",
        "accessToken",
        "api_key",
        "apiKey",
        "API_KEYS",
        "aws_secret_access_key",
        "client_secret",
        "password",
        "db_password_1",
        "Authorization",
        "proxy-authorization",
    ],
)
def test_a_key_that_names_a_secret_is_known(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize(
    "key",
    [
        "max_tokens",
        "max_num_batched_tokens",
        "stop_token_ids",
        "eos_token",
        "pad_token",
        "tokenizer",
        "token_level",
        "monkey",
        "keyword",
        "author",
        "path",
    ],
)
def test_a_key_that_only_sounds_like_one_is_not(key: str) -> None:
    assert not is_secret(key)


def test_secrets_are_masked_however_deep_they_lie() -> None:
    config = {"args": {"headers": [{"Authorization": "Bearer abc"}], "token": {"a": "b"}}, "n": 1}
    hidden = {"args": {"headers": [{"Authorization": MASK}], "token": MASK}, "n": 1}
    assert masked(config) == hidden
    assert masked({"api_key": None}) == {"api_key": None}


def test_paths_are_shown_from_the_current_folder_or_home_or_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    config = {
        "a": f"{here}/models/x",
        "b": [f"{home}/models/x"],
        "c": f"{tmp_path}/elsewhere/set.jsonl",
        "d": "owner/name",
        "e": "/think",
        "f": "https://me:pass@host/x",
        "g": str(here),
    }
    assert shown(config) == {
        "a": "models/x",
        "b": ["~/models/x"],
        "c": "set.jsonl",
        "d": "owner/name",
        "e": "/think",
        "f": "https://host/x",
        "g": ".",
    }


def test_a_secret_counts_for_an_identity_and_is_not_in_it() -> None:
    one, two = (identity_settings(VllmEngineConfig(args={"hf_token": t})) for t in ("one", "two"))
    assert one != two
    assert "one" not in str(one["args"])
