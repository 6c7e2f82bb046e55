"""What the pages say of the tree is true: links, files, modules, columns, the README's config."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest

from evals.compare.side_by_side import SideBySideRow
from evals.exploration.monitor import ExplorationRow
from evals.gates.stage import GateRow
from flows.commands.plan import plan
from flows.config import load_config
from ratchet.problems.arithmetic import generate
from ratchet.records import (
    Completion,
    DpoRow,
    EvalRow,
    GrpoRow,
    Problem,
    Row,
    SftRow,
    Verdict,
    schema_of,
)
from ratchet.verifier.grade_file import GradeRow
from tests.helpers.places import ROOT, SEED_MODEL
from tests.toys.edits import ALL as TOYS

README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
PACKAGES = ("ratchet", "flows", "samplers", "filters", "trainers", "evals")
FOLDERS = (*PACKAGES, "benchmarks", "configs", "docs", "models", "requirements", "tests")
MOST_BYTES = 12_000
SETTINGS = ROOT / "docs" / "config.md"
"""Made from the config classes, and held to them by a test of its own."""
EXAMPLES = set().union(*(toy.files() for toy in TOYS))
"""Files that CONTRIBUTING.md has somebody make."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_FILE = re.compile(
    rf"\b(?:{'|'.join(FOLDERS)})(?:/[\w.-]+)*/[\w-]+\.(?:py|toml|yaml|txt|md|json)\b"
)
_DOTTED = re.compile(
    rf"(?<![\w./-])(?:{'|'.join((*PACKAGES, 'benchmarks', 'models'))})"
    r"(?:\.(?!(?:md|toml|schema)\b)[A-Za-z_]\w*)+"
)
"""A dotted module, or what one holds; neither `filters.md` nor the key `ratchet.schema`."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [t for t in _LINK.findall(_prose(page)) if "://" not in t]
    missing = [t for t in targets if not _there((page.parent / t).resolve())]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_modules_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    files = [name for name in _FILE.findall(text) if not _there(ROOT / name)]
    assert files == []
    if page != SETTINGS:  # where `filters.orm` is a table of a config
        assert [name for name in _DOTTED.findall(text) if not _is_known(name)] == []


def test_every_page_is_found_from_the_readme() -> None:
    linked = {(ROOT / target).resolve() for target in _LINK.findall(README.read_text())}
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page not in linked] == []


def test_the_readme_is_read_in_one_sitting() -> None:
    assert README.stat().st_size <= MOST_BYTES


def test_the_readmes_tree_has_a_line_for_every_room() -> None:
    tree = next(body for _, body in _blocks(README) if body.startswith("ratchet/"))
    named = set(_tree_folders(tree))
    assert [folder for folder in sorted(named) if not (ROOT / folder).is_dir()] == []
    rooms = {init.parent for name in PACKAGES for init in (ROOT / name).glob("*/__init__.py")}
    assert {str(room.relative_to(ROOT)) for room in rooms} - named == set()


def test_the_readmes_config_is_one_that_plan_accepts(tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text(next(body for kind, body in _blocks(README) if kind == "toml"))
    data = tmp_path / "problems.jsonl"
    data.write_text("".join(_line(problem) for problem in generate("train", 1000, (1, 2), 0)))
    paths = [f"problems.{name}.path={data}" for name in ("train", "dev", "test")]
    parsed = load_config(config, [f"model.path={SEED_MODEL}", *paths])
    planned = plan(parsed, None, parsed.name)
    sizes = {name: each["count"] for name, each in planned["problems"].items()}
    assert sum(sizes.values()) + _dropped(planned) == 1000
    assert sizes["test"] == 200


def _line(problem: Problem) -> str:
    return json.dumps({"question": problem.problem, "answer": problem.reference_answer}) + "\n"


def _dropped(planned: dict[str, dict[str, dict[str, int]]]) -> int:
    return sum(each["of"] - each["problems"] for each in planned["overlap"].values())


ROWS: tuple[type[Row], ...] = (
    Problem,
    Completion,
    GradeRow,
    Verdict,
    SftRow,
    DpoRow,
    GrpoRow,
    EvalRow,
    ExplorationRow,
    GateRow,
    SideBySideRow,
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.SCHEMA)
def test_the_page_of_rows_has_every_column(row: type[Row]) -> None:
    text = (ROOT / "docs" / "rows.md").read_text()
    section = text.split(f"### {row.SCHEMA}\n")[1].split("\n##")[0]
    columns = re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", section, re.MULTILINE)
    assert columns == [(field.name, _type(field)) for field in schema_of(row)]


def _type(field: pa.Field) -> str:
    is_list = pa.types.is_list(field.type)
    name = f"list of {field.type.value_type}" if is_list else str(field.type)
    return f"{name} or null" if field.nullable else name


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of every code block."""
    return _FENCE.findall(page.read_text(encoding="utf-8"))


def _there(path: Path) -> bool:
    return path.exists() or str(path.relative_to(ROOT)) in EXAMPLES


def _is_known(name: str) -> bool:
    """Whether the longest part of a dotted name that is a module holds the rest."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:end])
        if path.is_dir() or path.with_suffix(".py").exists():
            found = find_spec(".".join(parts[:end]))
            source = Path(str(found.origin)).read_text() if found and found.origin else ""
            return all(re.search(rf"\b{part}\b", source) for part in parts[end:])
    return False


def _tree_folders(tree: str) -> list[str]:
    """Folders of the tree's lines; an indented line's lie in the package above it."""
    found, top = [], ""
    for line in tree.splitlines():
        names = re.match(r"((?:\s*[\w]+/)+)", line)
        own = [name.strip("/") for name in names[1].split()] if names else []
        if own and not line.startswith(" "):
            top = own[0]
        found += own if not line.startswith(" ") else [f"{top}/{name}" for name in own]
    return found
