from pathlib import Path

import pytest

from ratchet.errors import InputError
from ratchet.policy import ModelConfig, base_policy


def make_checkpoint(path: Path, weights: bytes = b"w") -> Path:
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(weights)
    return path


def test_a_local_model_is_named_by_its_content_not_its_place(tmp_path: Path) -> None:
    one = base_policy(ModelConfig(path=str(make_checkpoint(tmp_path / "one"))))
    two = base_policy(ModelConfig(path=str(make_checkpoint(tmp_path / "two"))))
    other = base_policy(ModelConfig(path=str(make_checkpoint(tmp_path / "other", b"x"))))
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert one.iteration == -1


@pytest.mark.parametrize("path", ["Qwen/Qwen2.5-1.5B", "gpt2"])
def test_hub_ids_are_told_from_paths_without_network(path: str) -> None:
    assert base_policy(ModelConfig(path=path, revision="abc")).model == path


def test_a_revision_is_part_of_the_fingerprint() -> None:
    one = base_policy(ModelConfig(path="gpt2", revision="a"))
    assert one.fingerprint != base_policy(ModelConfig(path="gpt2", revision="b")).fingerprint


@pytest.mark.parametrize("path", ["./nope", "/nope/model", "a/b/c"])
def test_a_path_that_is_not_there_is_an_error(path: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        base_policy(ModelConfig(path=path))


def test_a_missing_model_beside_others_is_taken_for_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(InputError, match="does not exist"):
        base_policy(ModelConfig(path="models/typo"))


def test_a_folder_without_config_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        base_policy(ModelConfig(path=str(tmp_path)))
