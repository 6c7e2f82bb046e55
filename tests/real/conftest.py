"""The real pretrained model, and what is made with it once for all tests here.

All engines that run in a process of their own, and all trainings, are shared: their start and the
loading of 135 million weights are what costs.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def real():
    """The real model as a policy; tests that need it skip where it has not been made."""
    from models.real_model import NAME, models_folder, real_model
    from ratchet.policy import ModelConfig, base_policy

    folder = real_model()
    if folder is None:
        pytest.skip(f"needs {NAME} in {models_folder()}: make real-model")
    return base_policy(ModelConfig(path=str(folder)))


@pytest.fixture(scope="session")
def tokenizer(real):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(real.model)


@pytest.fixture(scope="session")
def lab(real, tokenizer, tmp_path_factory) -> Iterator:
    """Trainings of the real model, each done once, and engines, each started once."""
    from tests.helpers.real_lab import Lab

    with pytest.MonkeyPatch.context() as patch:
        lab = Lab(tmp_path_factory.mktemp("real"), real, tokenizer, patch)
        yield lab
        lab.close()


@pytest.fixture(scope="session")
def gsm8k(shared_data):
    """The first 20 problems of GSM8K's test set."""
    import pyarrow.parquet as pq

    path = shared_data / "gsm8k_test.parquet"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    return pq.read_table(path, columns=["question"]).column("question").to_pylist()[:20]
