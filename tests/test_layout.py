"""The repository's own promises: its packages are its own, the core is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

PACKAGES = ("ratchet", "flows", "samplers", "filters", "trainers", "evals")
MOST_FILES = 11


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


def top_level_classes() -> dict[str, list[str]]:
    """The files that define each class's name."""
    found: dict[str, list[str]] = {}
    for file in code_files():
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(str(file.relative_to(ROOT)))
    return found


def code_files() -> list[Path]:
    return [
        f for package in (*PACKAGES, "benchmarks", "models") for f in (ROOT / package).rglob("*.py")
    ]


def test_one_class_name_means_one_thing() -> None:
    shared = {name: files for name, files in top_level_classes().items() if len(files) > 1}
    assert shared == {}


def test_a_package_is_a_few_rooms_of_a_few_files() -> None:
    rooms = [folder for package in PACKAGES for folder in (ROOT / package).rglob("*")]
    for room in [ROOT / package for package in PACKAGES] + [r for r in rooms if r.is_dir()]:
        files = [file.name for file in room.glob("*.py") if file.name != "__init__.py"]
        assert len(files) <= MOST_FILES, f"{room.relative_to(ROOT)}: {files}"


def test_every_room_says_what_lives_there() -> None:
    for file in code_files():
        if file.name == "__init__.py":
            assert ast.get_docstring(ast.parse(file.read_text())), f"{file} has no docstring"
