"""Makes the helper modules importable, and the tiny model once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

for folder in (Path(__file__).parent, Path(__file__).parent.parent):
    sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A random model of 30 thousand weights, and its tokenizer, in a folder."""
    from tiny_models import save_model

    from ratchet.policy import ModelConfig, base_policy

    return base_policy(ModelConfig(path=str(save_model(tmp_path_factory.mktemp("tiny")))))


@pytest.fixture
def bench(tmp_path, tiny, monkeypatch):
    from training_bench import Bench

    return Bench(tmp_path, tiny, monkeypatch)
