"""What a user's own file holds: which columns, how many problems, and how to cut it in three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ratchet.config_errors import listed
from ratchet.errors import InputError
from ratchet.problems.config import Columns, FileSource
from ratchet.problems.load import LoadedProblems, load_problems
from ratchet.problems.readers import FILE_COLUMN, RawRow, read_rows
from ratchet.problems.reference_check import MAX_WORDS, check_gold, gold_metrics
from ratchet.records import Problem
from ratchet.verifier.grader import Grader

PROBLEM_NAMES = ("problem", "question", "prompt", "instruction", "query", "input", "text")
ANSWER_NAMES = (
    *("reference_answer", "final_answer", "expected_answer", "ground_truth", "answer"),
    *("gold", "target", "label"),
)
SOLUTION_NAMES = ("solution", "rationale", "explanation", "reasoning")

LEAST_PROBLEMS = 100
"""Fewer leave a dev set on which the gate could hardly tell a better checkpoint from luck."""
_BETTER = "name the column of short final answers by --answer COLUMN"
_MOST_HELD_OUT = 1000
_LOOKED_AT = 200
"""Rows that are looked into."""
_FEW_ON_DEV = 200
_MANY_UNGRADED = 0.05


@dataclass(frozen=True, slots=True)
class Cuts:
    """Problems of each set."""

    train: int
    dev: int
    test: int


@dataclass(frozen=True, slots=True)
class OwnData:
    """A file of problems, and what was seen in it that its user should know."""

    path: Path
    columns: Columns
    cuts: Cuts
    notes: tuple[str, ...]


def look_at(path: Path, problem: str | None = None, answer: str | None = None) -> OwnData:
    """What a file holds; `problem` and `answer` name its columns where they can't be told.

    Raises:
        InputError: if it can't be read, its columns can't be told, or it holds too few problems.
    """
    columns = find_columns(read_rows(path), str(path), problem, answer)
    loaded = _loaded(path, columns)
    cuts = cut(len(loaded.problems), str(path))
    notes = [
        f"{path}: {_told(columns)}",
        f"{len(loaded.problems):,} problems: {cuts.train:,} for train, {cuts.dev:,} for dev, "
        f"{cuts.test:,} for test",
    ]
    if loaded.skipped:
        notes.append(f"rows that are no problem, by reason: {loaded.skipped}")
    if cuts.dev < _FEW_ON_DEV:
        notes.append(f"with {cuts.dev} problems on dev the gate sees large gains only")
    return OwnData(path, columns, cuts, (*notes, *_ungraded(loaded.problems[:_LOOKED_AT])))


def _loaded(path: Path, columns: Columns) -> LoadedProblems:
    try:
        return load_problems(FileSource(path=str(path), columns=columns))
    except InputError as error:
        raise InputError(f"{path}: {_told(columns)}; {error}; {_BETTER}") from None


def find_columns(
    rows: Sequence[RawRow],
    what: str,
    problem: str | None,
    answer: str | None,
    options: tuple[str, str] = ("--problem", "--answer"),
) -> Columns:
    """The columns of problem and answer: those that are named, or else likely names.

    `options` are those of the command line that name them.

    Raises:
        InputError: if a named one is not there, or no likely one is.
    """
    there = list(dict.fromkeys(key for row in rows[:_LOOKED_AT] for key in row))
    names = [name for name in there if name != FILE_COLUMN]
    text = _column(names, problem, PROBLEM_NAMES)
    found = _column(names, answer, (*ANSWER_NAMES, *SOLUTION_NAMES))
    if text is None or found is None:
        raise InputError(_unclear(names, what, dict(zip(options, (text, found), strict=True))))
    if _is_worked([row.get(found) for row in rows[:_LOOKED_AT]]):
        return Columns(problem=text, reference_answer=None, solution=found)
    return Columns(problem=text, reference_answer=found)


def _column(names: Sequence[str], given: str | None, likely: Sequence[str]) -> str | None:
    if given is not None:
        return given if given in names else None
    known = {name.casefold(): name for name in reversed(names)}
    return next((known[name] for name in likely if name in known), None)


def _unclear(names: Sequence[str], what: str, found: Mapping[str, str | None]) -> str:
    options = " ".join(f"{option} COLUMN" for option, column in found.items() if column is None)
    parts = zip(("the problem's text", "the reference answer"), found.values(), strict=True)
    sought = " or ".join(part for part, column in parts if column is None)
    return (
        f"{what} has the columns {listed(names)}; which holds {sought} is not clear: add {options}"
    )


def _is_worked(values: Sequence[object]) -> bool:
    """Whether a column holds whole solutions, which end on the answer."""
    texts = [str(value) for value in values if value not in (None, "")]
    worked = [text for text in texts if "####" in text or len(text.split()) > MAX_WORDS]
    return 2 * len(worked) > len(texts)


def _told(columns: Columns) -> str:
    if columns.reference_answer is None:
        answer = f'the answer is taken from the worked solution in column "{columns.solution}"'
    else:
        answer = f'the reference answer is column "{columns.reference_answer}"'
    return f'the problem is column "{columns.problem}", {answer}'


def cut(count: int, what: str) -> Cuts:
    """A fifth of the problems each for dev and test, 1,000 at most; the rest for train.

    Raises:
        InputError: if there are too few.
    """
    if count < LEAST_PROBLEMS:
        raise InputError(
            f"{what} holds {count} problems, too few to cut in three: on a fifth of them the gate "
            "could hardly tell a better checkpoint from luck; bring at least "
            f"{LEAST_PROBLEMS}, or name other sets for dev and test by hand"
        )
    held_out = min(_MOST_HELD_OUT, count // 5)
    return Cuts(train=count - 2 * held_out, dev=held_out, test=held_out)


def _ungraded(problems: Sequence[Problem]) -> list[str]:
    """A note where many of the references can't be graded.

    Raises:
        InputError: if none can.
    """
    with Grader() as grader:
        kept, aside = check_gold(problems, grader)
    reasons = gold_metrics(aside)
    if not kept:
        raise InputError(
            f"none of the first {len(problems)} answers can be graded: {reasons}; for example "
            f"{aside[0].seen!r}; {_BETTER}"
        )
    if len(aside) <= _MANY_UNGRADED * len(problems):
        return []
    return [f"of the first {len(problems)} problems {len(aside)} can't be graded: {reasons}"]
