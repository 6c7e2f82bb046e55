"""The repository's own promises: its packages are its own, the core is light."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

PACKAGES = ("ratchet", "flows", "samplers", "filters", "trainers", "evals")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_shadows_a_package(package: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert ROOT in Path(spec.origin).resolve().parents


def test_the_flows_process_loads_neither_torch_nor_vllm() -> None:
    code = (
        "import sys, flows.improve, flows.cli\n"
        "print([name for name in ('torch', 'vllm', 'transformers') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_pins_hold_names_and_versions_only() -> None:
    for pins in ROOT.glob("requirements/*.txt"):
        for line in pins.read_text().splitlines():
            assert "://" not in line, f"{pins.name}: {line}"
            assert "+cpu" not in line, f"{pins.name}: {line}"
