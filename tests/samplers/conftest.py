"""One vLLM engine for all tests here: its start is what costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ratchet.generation.prompts import PromptConfig
from ratchet.policy import ModelConfig, Policy, base_policy
from samplers.config import TransformersEngineConfig, VllmEngineConfig
from samplers.serving.client import EngineClient
from tests.helpers.tiny_models import FOR_SAMPLING, save_adapter, save_model


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two full checkpoints of one shape, and an adapter for the first."""
    folder = tmp_path_factory.mktemp("checkpoints")
    one = save_model(folder / "one", replace(FOR_SAMPLING, seed=1))
    two = save_model(folder / "two", replace(FOR_SAMPLING, seed=2))
    return {"one": one, "two": two, "adapter": save_adapter(folder / "adapter", one)}


@pytest.fixture(scope="session")
def policies(checkpoints: dict[str, Path]) -> dict[str, Policy]:
    one = base_policy(ModelConfig(path=str(checkpoints["one"])))
    two = base_policy(ModelConfig(path=str(checkpoints["two"])))
    adapter = str(checkpoints["adapter"])
    adapted = Policy(fingerprint="adapted", model=one.model, adapter=adapter, iteration=0)
    return {"one": one, "two": two, "adapted": adapted}


@pytest.fixture(scope="session")
def vllm_config() -> VllmEngineConfig:
    pytest.importorskip("vllm.version", reason="vLLM is not installed")
    return VllmEngineConfig(dtype="float32", max_num_seqs=8, enforce_eager=True)


@pytest.fixture(scope="session")
def vllm_client(
    vllm_config: VllmEngineConfig, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineClient]:
    log = tmp_path_factory.mktemp("engine") / "vllm.log"
    with EngineClient(vllm_config, PromptConfig(), log, lora=True) as client:
        yield client


@pytest.fixture(scope="session")
def transformers_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineClient]:
    log = tmp_path_factory.mktemp("engine") / "transformers.log"
    config = TransformersEngineConfig(dtype="float32", batch_size=4, device="cpu")
    with EngineClient(config, PromptConfig(), log) as client:
        yield client
