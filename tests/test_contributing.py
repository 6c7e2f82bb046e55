"""CONTRIBUTING.md, followed: a toy of each kind is built as the page says, and used.

Each is built in a copy of the packages, in which the page's files are added and edited, and nothing
else; its own test then runs there, in a process that imports the copy.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.toys.edits import ALL, Toy

PACKAGES = ("ratchet", "flows", "samplers", "filters", "trainers", "evals", "configs", "models")
MOST_LINES = 30
_STEP = re.compile(r"^\d+\. `([\w/]+\.py)`:", re.MULTILINE)
"""The file that a numbered step is about."""


def section_of(toy: Toy) -> str:
    """The page's section, its heading left out."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return page.split(f"## {toy.section}\n")[1].split("\n## ")[0]


def by_section(toy: Toy) -> str:
    return toy.section


@pytest.mark.parametrize("toy", ALL, ids=by_section)
def test_the_page_names_every_file_that_it_takes(toy: Toy) -> None:
    assert set(_STEP.findall(section_of(toy))) == toy.files()


@pytest.mark.parametrize("toy", ALL, ids=by_section)
def test_a_section_is_one_page(toy: Toy) -> None:
    assert len(section_of(toy).strip().splitlines()) < MOST_LINES


@pytest.mark.parametrize("toy", ALL, ids=by_section)
def test_a_toy_built_as_the_page_says_works(toy: Toy, tmp_path: Path) -> None:
    tree = copied(tmp_path / "tree")
    toy.build(tree)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", toy.test[0]],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def copied(tree: Path) -> Path:
    """The packages, the recipes, and what the tests are built from."""
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=unwanted)
    shutil.copytree(ROOT / "tests" / "helpers", tree / "tests" / "helpers", ignore=unwanted)
    shutil.copy(ROOT / "tests" / "conftest.py", tree / "tests" / "conftest.py")
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree
