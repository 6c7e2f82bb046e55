"""What a name stands for: folders, adapters, hub ids, runs and servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.standalone.checkpoints import find_checkpoint
from flows.standalone.settings import StandaloneEval
from ratchet.errors import InputError
from ratchet.policy import ModelConfig, base_policy
from ratchet.store.artifacts import Store
from samplers.config import TransformersEngineConfig, VllmEngineConfig
from tests.helpers.evaluated import trained_run
from tests.helpers.places import SEED_MODEL


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def make_adapter(folder: Path, **settings: Any) -> Path:
    folder.mkdir()
    given = {"base_model_name_or_path": str(SEED_MODEL), "r": 8, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(given))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def test_a_folder_is_the_policy_that_a_run_would_start_from(store: Store) -> None:
    found = find_checkpoint(str(SEED_MODEL), store)
    assert found.policy == base_policy(ModelConfig(path=str(SEED_MODEL)))
    assert not found.has_adapter


def test_an_adapter_goes_on_the_model_that_it_names(store: Store, tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "adapter")
    policy = find_checkpoint(str(folder), store).policy
    assert policy is not None
    assert (policy.model, policy.adapter) == (str(SEED_MODEL), str(folder))
    (folder / "adapter_model.safetensors").write_bytes(b"others")
    changed = find_checkpoint(str(folder), store).policy
    assert changed is not None
    assert changed.fingerprint != policy.fingerprint


def test_an_adapter_that_the_engine_has_no_room_for_is_refused(
    store: Store, tmp_path: Path
) -> None:
    found = find_checkpoint(str(make_adapter(tmp_path / "a", r=128)), store)
    with pytest.raises(InputError, match=r"rank 128, .* --set engine\.lora_rank=128"):
        found.policy_for(StandaloneEval())
    roomy = StandaloneEval(engine=VllmEngineConfig(lora_rank=128))
    assert found.policy_for(roomy).adapter
    assert found.policy_for(StandaloneEval(engine=TransformersEngineConfig())).adapter


def test_a_hub_id_may_have_a_revision(store: Store) -> None:
    found = find_checkpoint("owner/name@v2", store).policy
    assert found is not None
    assert (found.model, found.revision) == ("owner/name", "v2")
    plain = find_checkpoint("owner/name", store).policy
    assert plain is not None
    assert plain.fingerprint == base_policy(ModelConfig(path="owner/name")).fingerprint


def test_a_run_without_a_promotion_stands_for_its_base_model(tmp_path: Path) -> None:
    run = trained_run(tmp_path, promoted=False)
    base = base_policy(ModelConfig(path=str(SEED_MODEL)))
    assert find_checkpoint("run", run.store).policy == base
    assert find_checkpoint("run@base", run.store).policy == base
    trained = find_checkpoint("run@0", run.store).policy
    assert trained is not None
    assert trained.iteration == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("run@7", "iteration 7 of run 'run' trained nothing; candidates: 0"),
        ("run@best", "after @ comes an iteration's number, or base"),
        ("ruin", r"'ruin' is no folder here and no run in .* \(runs there: run\)"),
        ("ruin@1", r"no run in .* \(runs there: run\)"),
        ("./nowhere", "'./nowhere' is no folder"),
        ("/nowhere/at/all", "'/nowhere/at/all' is no folder"),
        ("a/b/c", "'a/b/c' is no folder .* and no hub id"),
    ],
)
def test_what_is_nothing_is_told_with_what_can_be_given(
    tmp_path: Path, name: str, said: str
) -> None:
    run = trained_run(tmp_path)
    with pytest.raises(InputError, match=said):
        find_checkpoint(name, run.store)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "neither config.json, as a checkpoint has, nor adapter_config.json"),
        ({"adapter_config.json": '{"r": 8}'}, "names no base_model_name_or_path"),
        ({"adapter_config.json": "r = 8"}, "adapter_config.json is no JSON"),
        ({"adapter_config.json": "[]"}, "adapter_config.json holds no table"),
        (
            {"adapter_config.json": '{"base_model_name_or_path": "/gone/model"}'},
            "the model that its adapter_config.json names: .*'/gone/model' does not exist",
        ),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_told(
    store: Store, tmp_path: Path, files: dict[str, str], said: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(InputError, match=said):
        find_checkpoint(str(folder), store)
