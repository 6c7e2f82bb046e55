"""Makes the helper modules importable, and the tiny model once."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A random model of 30 thousand weights, and its tokenizer, in a folder."""
    from ratchet.policy import ModelConfig, base_policy
    from tests.helpers.tiny_models import save_model

    return base_policy(ModelConfig(path=str(save_model(tmp_path_factory.mktemp("tiny")))))


@pytest.fixture
def bench(tmp_path, tiny, monkeypatch):
    from tests.helpers.training_bench import Bench

    return Bench(tmp_path, tiny, monkeypatch)
