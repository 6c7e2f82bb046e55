"""From a set's own layout to `Problem` rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from types import NoneType
from typing import Any

from ratchet.errors import InputError
from ratchet.problems.config import Columns, SolutionStyle
from ratchet.problems.readers import FILE_COLUMN, RawRow
from ratchet.records import Problem
from ratchet.verifier.find.extraction import AnswerFormat, extract_answer, last_boxed


@dataclass(frozen=True, slots=True)
class Origin:
    """What a set's rows are called: the words that problem ids and rows carry."""

    source: str
    split: str
    part: str = ""
    """The subject's configuration on the hub; its rows are counted apart."""

    def problem_id(self, row: int) -> str:
        """The id of a row that brings none."""
        return "-".join(filter(None, (self.source, self.split, self.part, str(row))))


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a row is no problem: a stable code."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fields:
    """What one row says, as found: text, numbers or nothing."""

    problem: Any
    answer: Any
    solution: Any = None
    problem_id: Any = None
    level: Any = None
    subject: Any = None


Layout = Callable[[RawRow, Origin, int], Problem | Unusable]


def convert(
    rows: Iterable[RawRow], origin: Origin, layout: Layout
) -> tuple[list[Problem], dict[str, int]]:
    """The problems among `rows`, and the counts of the others' reasons."""
    converted = [layout(row, origin, number) for number, row in enumerate(rows)]
    problems = [item for item in converted if isinstance(item, Problem)]
    skipped = Counter(item.reason for item in converted if isinstance(item, Unusable))
    return problems, dict(skipped)


def check_columns(rows: Sequence[RawRow], needed: Iterable[str], what: str) -> None:
    """Every needed column is there.

    Raises:
        InputError: naming the missing ones, and all that are there.
    """
    there = set().union(*(row.keys() for row in rows)) if rows else set()
    missing = sorted(set(needed) - there)
    if rows and missing:
        names = ", ".join(sorted(there - {FILE_COLUMN}))
        raise InputError(
            f"{what} has no column {', '.join(missing)}; its columns are: {names}. "
            "Name the right ones in the source's `columns`, or choose another kind of source"
        )


def gsm8k_layout(style: SolutionStyle) -> Layout:
    """GSM8K: `question`, and `answer` that ends on `#### n`."""

    def layout(row: RawRow, origin: Origin, number: int) -> Problem | Unusable:
        worked = _text(row["answer"])
        found = extract_answer(worked, "hash")
        solution = worked if style == "raw" else boxed_solution(worked)
        answer = found.answer if found else ""
        fields = Fields(row["question"], answer, solution, problem_id=row.get("id"))
        return to_problem(fields, origin, number)

    return layout


def math_layout(row: RawRow, origin: Origin, number: int) -> Problem | Unusable:
    """MATH: `problem`, `level` ("Level 5"), `type` and `solution`, its answer boxed."""
    solution = _text(row["solution"])
    file = row.get(FILE_COLUMN)
    given_id = row.get("unique_id") or (f"{origin.split}/{file}" if file else None)
    subject, level = row.get("type") or row.get("subject"), row.get("level")
    answer = last_boxed(solution) or ""
    fields = Fields(row["problem"], answer, solution, given_id, level, subject)
    return to_problem(fields, origin, number)


def math500_layout(row: RawRow, origin: Origin, number: int) -> Problem | Unusable:
    """MATH-500: `problem`, `answer`, `unique_id`, `solution`, `subject`, `level` (a number)."""
    fields = Fields(
        row["problem"],
        row["answer"],
        row.get("solution"),
        problem_id=row.get("unique_id"),
        level=row.get("level"),
        subject=row.get("subject"),
    )
    return to_problem(fields, origin, number)


def mapped_layout(columns: Columns, answer_format: AnswerFormat) -> Layout:
    """Any set, by the names of its columns."""

    def layout(row: RawRow, origin: Origin, number: int) -> Problem | Unusable:
        def value(column: str | None) -> Any:
            return row.get(column) if column else None

        answer, solution = value(columns.reference_answer), value(columns.solution)
        if columns.reference_answer is None:
            found = extract_answer(_text(solution), answer_format)
            answer = found.answer if found else ""
        fields = Fields(
            value(columns.problem),
            answer,
            solution,
            problem_id=value(columns.problem_id),
            level=value(columns.level),
            subject=value(columns.subject),
        )
        return to_problem(fields, origin, number)

    return layout


def needed_columns(columns: Columns) -> set[str]:
    """The columns that a mapping names."""
    return {name for name in columns.model_dump().values() if name is not None}


_MARKS = re.compile(r"<<[^<>\n]*>>")
_HASH_LINE = re.compile(r"^[ \t]*####[ \t]*(.+?)[ \t]*$", re.MULTILINE)


def boxed_solution(solution: str) -> str:
    """A GSM8K solution without calculator marks, its `#### n` line turned to `\\boxed{n}`."""
    return _HASH_LINE.sub(r"\\boxed{\1}", _MARKS.sub("", solution))


def subject_key(subject: str | None) -> str:
    """One spelling of a subject: "Counting & Probability" is `counting_and_probability`."""
    return "_".join((subject or "").casefold().replace("&", "and").split())


def level_of(value: Any) -> int | None:
    """The number in `5`, "5" or "Level 5"; None where there is none ("Level ?")."""
    match = re.search(r"\d+", str(value)) if value is not None else None
    return int(match.group()) if match else None


def to_problem(fields: Fields, origin: Origin, number: int) -> Problem | Unusable:
    """One row's fields as a problem, or why they are none."""
    if not _text(fields.problem).strip():
        return Unusable("no_problem_text")
    if not isinstance(fields.answer, _ANSWER_TYPES):
        return Unusable("reference_not_text")
    if not _text(fields.answer).strip():
        return Unusable("no_answer")
    return Problem(
        problem_id=_text(fields.problem_id) or origin.problem_id(number),
        problem=_text(fields.problem),
        reference_answer=_text(fields.answer).strip(),
        solution=_text(fields.solution) or None,
        source=origin.source,
        split=origin.split,
        level=level_of(fields.level),
        subject=_text(fields.subject) or None,
    )


_ANSWER_TYPES = (str, int, float, Decimal, NoneType)


def _text(value: Any) -> str:
    """A cell as text; nothing for None, and for the NaN that tables write in its place."""
    if isinstance(value, (float, Decimal)) and not isfinite(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
