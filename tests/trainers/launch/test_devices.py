import os
from pathlib import Path

import pytest

from ratchet.errors import InputError
from ratchet.store import provenance
from trainers.launch import process


@pytest.fixture
def hanging_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An nvidia-smi that never answers, as with a driver that hangs."""
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\nexec sleep 60\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(process, "_ASK_SECONDS", 0.3)
    monkeypatch.setattr(provenance, "_SECONDS", 0.3)


@pytest.mark.timeout(20)
def test_a_driver_that_hangs_is_told_and_not_waited_for(hanging_driver: None) -> None:
    with pytest.raises(InputError, match=r"nvidia-smi gave no answer in 0\.3 s"):
        process.find_devices()


@pytest.mark.timeout(20)
def test_an_artifacts_provenance_does_not_wait_for_a_driver_that_hangs(
    hanging_driver: None,
) -> None:
    assert provenance._device().startswith("cpu")
