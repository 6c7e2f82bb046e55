import os
import subprocess
import sys
from pathlib import Path

import pytest

from ratchet.dotted_path import digest, load
from ratchet.errors import InputError
from tests.helpers.places import ROOT


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that Ratchet is started in, with modules of the user's own."""
    (tmp_path / "own_code.py").write_text("def f(): return 1\n")
    (tmp_path / "own_trap.py").write_text("raise RuntimeError('was imported')\n")
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("from own_package.inner import g\n")
    (tmp_path / "own_package" / "inner.py").write_text("def g(): return 2\n")
    (tmp_path / "own_space").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.startswith("own_")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def in_safe_path(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run as the installed command is: the current folder is not on `sys.path`."""
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("call", ["digest('own_code:f', 'it')", "load('own_code:f', 'it')()"])
def test_the_current_folder_is_looked_in_where_the_installed_command_has_another_on_its_path(
    folder: Path, call: str
) -> None:
    ran = in_safe_path(f"from ratchet.dotted_path import digest, load; print({call})", folder)
    expected = digest("own_code:f", "it") if "digest" in call else "1"
    assert (ran.stdout.strip(), ran.stderr) == (expected, "")


def test_a_digest_imports_no_module_of_the_users(folder: Path) -> None:
    assert digest("own_trap:f", "it") != digest("own_code:f", "it")
    with pytest.raises(InputError, match="RuntimeError: was imported"):
        load("own_trap:f", "it")


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("own_code:f", "own_code.py"),
        ("own_package.inner:g", "own_package/inner.py"),
        ("own_package:g", "own_package/__init__.py"),
        ("own_package:g", "own_package/inner.py"),
    ],
)
def test_other_code_has_another_digest(folder: Path, path: str, file: str) -> None:
    before = digest(path, "it")
    assert digest(path, "it") == before
    with (folder / file).open("a") as source:
        source.write("# changed\n")
    assert digest(path, "it") != before


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("own_nothing:f", "ModuleNotFoundError: No module named 'own_nothing'"),
        ("own_code.inner:f", "ModuleNotFoundError: "),
        ("own_space:f", "No module named 'own_space' in a file|AttributeError"),
        ("own_trap.inner:f", "RuntimeError: was imported"),
        ("own_package..inner:f", "Error: "),
    ],
)
def test_what_is_not_there_is_the_users_error_in_both(folder: Path, path: str, why: str) -> None:
    for ask in (digest, load):
        with pytest.raises(InputError, match=why) as caught:
            ask(path, "reward 'mine'")
        assert str(caught.value).startswith(f"reward 'mine': {path} can't be loaded: ")
        assert "the folder that ratchet is started in" in str(caught.value)


def test_a_name_that_is_not_in_its_module_is_the_users_error(folder: Path) -> None:
    with pytest.raises(InputError, match="own_code:other can't be loaded: AttributeError"):
        load("own_code:other", "it")
