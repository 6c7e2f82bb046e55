"""Problem sets: from a source's config to `Problem` rows."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never, get_args

from ratchet.config import identity_settings
from ratchet.config_errors import shown_value
from ratchet.errors import InputError
from ratchet.problems.config import (
    ArithmeticSource,
    Columns,
    FileSource,
    Gsm8kSource,
    HubSource,
    Math500Source,
    MathSource,
    MathSubject,
    ProblemSource,
)
from ratchet.problems.layouts import (
    Layout,
    Origin,
    check_columns,
    convert,
    gsm8k_layout,
    mapped_layout,
    math500_layout,
    math_layout,
    needed_columns,
    subject_key,
)
from ratchet.problems.readers import RawRow, files_of, load_hub, read_rows
from ratchet.records import Problem
from ratchet.store.files import sha256_file
from ratchet.store.identity import digest

__all__ = [
    "ArithmeticSource",
    "Columns",
    "FileSource",
    "Gsm8kSource",
    "HubSource",
    "LoadedProblems",
    "Math500Source",
    "MathSource",
    "ProblemSource",
    "load_problems",
    "source_fingerprint",
]

LOADER_VERSION = 2
"""Raised when the same source begins to give other problems."""

_GSM8K_HUB = ("openai/gsm8k", "main")
_MATH_HUB = "EleutherAI/hendrycks_math"
_MATH500_HUB = "HuggingFaceH4/MATH-500"

RowSource = Gsm8kSource | MathSource | Math500Source | FileSource | HubSource


@dataclass(frozen=True, slots=True)
class LoadedProblems:
    """The problems of a source, and why rows of it are none: counts by reason.

    Reasons: `no_answer` (NaN is none), `reference_not_text` (a list, say), `no_problem_text`. Rows
    that the source's own settings leave out (level, subject, limit) are not counted.
    """

    problems: list[Problem]
    skipped: dict[str, int] = field(default_factory=dict)


def load_problems(config: ProblemSource) -> LoadedProblems:
    """The problems of one source, in a fixed order.

    Raises:
        InputError: if the source cannot be read, lacks a column, holds no problem, or two problems
            share an id.
    """
    if isinstance(config, ArithmeticSource):
        return LoadedProblems(_checked(_generate(config), config))
    match config:
        case Gsm8kSource():
            loaded = _load_gsm8k(config)
        case MathSource():
            loaded = _load_math(config)
        case Math500Source():
            loaded = _load_math500(config)
        case FileSource():
            loaded = _load_file(config)
        case HubSource():
            loaded = _load_hub(config)
        case _:
            assert_never(config)
    chosen = _chosen(_checked(loaded.problems, config, loaded.skipped), config)
    return LoadedProblems(_checked(chosen, config, loaded.skipped), loaded.skipped)


def is_local(config: ProblemSource) -> bool:
    """Whether the source can be read without network."""
    return not isinstance(config, HubSource) and getattr(config, "path", "") is not None


def source_fingerprint(config: ProblemSource) -> str:
    """A short hash of what decides the problems: settings, and the content of local files.

    A set on the hub is known by its id, configuration and revision alone: give a `revision` where
    it may change.

    Raises:
        InputError: if a local file is missing.
    """
    parts: dict[str, Any] = {"loader": LOADER_VERSION, "settings": identity_settings(config)}
    if isinstance(config, ArithmeticSource):
        parts["generator"] = _generator_version()
    elif isinstance(config, FileSource):
        parts["name"] = config.name or Path(config.path).stem
        parts["content"] = _content_digest(Path(config.path))
    elif not isinstance(config, HubSource) and config.path is not None:
        parts["content"] = _content_digest(_local(config.path, config.split))
    return digest(parts)


def _generate(config: ArithmeticSource) -> list[Problem]:
    from ratchet.problems import arithmetic

    try:
        return arithmetic.generate(config.split, config.size, config.levels, config.seed)
    except ValueError as error:
        raise InputError(f"arithmetic problems cannot be made: {error}") from error


def _generator_version() -> int:
    from ratchet.problems import arithmetic

    return int(getattr(arithmetic, "VERSION", 1))


def _load_gsm8k(config: Gsm8kSource) -> LoadedProblems:
    rows = (
        load_hub(*_GSM8K_HUB, config.split, config.revision)
        if config.path is None
        else read_rows(_local(config.path, config.split))
    )
    layout = gsm8k_layout(config.solution_style)
    return _converted(rows, Origin("gsm8k", config.split), layout, ("question", "answer"))


def _load_math(config: MathSource) -> LoadedProblems:
    needed = ("problem", "solution")
    if config.path is not None:
        rows = read_rows(_local(config.path, config.split))
        return _converted(rows, Origin("math", config.split), math_layout, needed)
    parts = []
    for subject in config.subjects or get_args(MathSubject):
        rows = load_hub(_MATH_HUB, subject, config.split, config.revision)
        parts.append(_converted(rows, Origin("math", config.split, subject), math_layout, needed))
    skipped = sum((Counter(part.skipped) for part in parts), Counter[str]())
    return LoadedProblems([p for part in parts for p in part.problems], dict(skipped))


def _load_math500(config: Math500Source) -> LoadedProblems:
    rows = (
        load_hub(_MATH500_HUB, None, config.split, config.revision)
        if config.path is None
        else read_rows(_local(config.path, config.split))
    )
    return _converted(rows, Origin("math500", config.split), math500_layout, ("problem", "answer"))


def _load_file(config: FileSource) -> LoadedProblems:
    path = Path(config.path)
    origin = Origin(config.name or path.stem, config.split)
    layout = mapped_layout(config.columns, config.answer_format)
    return _converted(read_rows(path), origin, layout, needed_columns(config.columns))


def _load_hub(config: HubSource) -> LoadedProblems:
    rows = load_hub(config.path, config.name, config.split, config.revision)
    origin = Origin(config.path.rpartition("/")[2], config.split, config.name or "")
    layout = mapped_layout(config.columns, config.answer_format)
    return _converted(rows, origin, layout, needed_columns(config.columns))


def _converted(
    rows: Sequence[RawRow], origin: Origin, layout: Layout, needed: Sequence[str] | set[str]
) -> LoadedProblems:
    check_columns(rows, needed, f"the {origin.source} set")
    return LoadedProblems(*convert(rows, origin, layout))


def _local(path: str, split: str) -> Path:
    """The local path, or its folder for the split where it has one (`MATH/train`)."""
    inside = Path(path) / split
    return inside if split and inside.is_dir() else Path(path)


def _content_digest(path: Path) -> str:
    if not path.exists():
        raise InputError(f"no file or folder {path.absolute()}; check the source's path")
    files = {
        file.relative_to(path).as_posix() if path.is_dir() else "": sha256_file(file)
        for file in files_of(path)
    }
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()


def _chosen(problems: list[Problem], config: RowSource) -> list[Problem]:
    """The problems that the settings ask for: filtered, then shuffled, then cut."""
    if not isinstance(config, Gsm8kSource):
        problems = _filtered(problems, config.levels, config.subjects)
    if config.shuffle_seed is not None:
        problems = random.Random(config.shuffle_seed).sample(problems, len(problems))
    end = None if config.limit is None else config.offset + config.limit
    return problems[config.offset : end]


def _filtered(
    problems: list[Problem], levels: Sequence[int] | None, subjects: Sequence[str] | None
) -> list[Problem]:
    wanted = None if subjects is None else {subject_key(subject) for subject in subjects}
    return [
        problem
        for problem in problems
        if (levels is None or problem.level in levels)
        and (wanted is None or subject_key(problem.subject) in wanted)
    ]


def _settings(config: ProblemSource) -> str:
    given = config.model_dump(exclude_defaults=True, exclude={"kind"})
    return ", ".join(f"{name} = {shown_value(value)}" for name, value in given.items())


def _checked(
    problems: list[Problem], config: ProblemSource, skipped: dict[str, int] | None = None
) -> list[Problem]:
    if not problems:
        left_out = f" (rows left out: {skipped})" if skipped else ""
        raise InputError(
            f"the {config.kind} source holds no problem{left_out}; check its path, columns, split, "
            f"levels, subjects and offset: {_settings(config)}"
        )
    counts = Counter(problem.problem_id for problem in problems)
    if len(counts) < len(problems):
        doubled = [problem_id for problem_id, count in counts.items() if count > 1]
        raise InputError(
            f"{len(doubled)} problem ids of the {config.kind} source occur more than once, so rows "
            f"could not be told apart: {', '.join(doubled[:5])}; leave columns.problem_id unset to "
            "have rows numbered"
        )
    return problems
