"""Grades a whole file of any size, streaming, on all cores, in the file's order."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.errors import InputError
from ratchet.processes.pool import Crew
from ratchet.store.files import replace_with
from ratchet.verifier.audit import Audit
from ratchet.verifier.grader import (
    DEFAULT_RULES,
    AnswerFormat,
    AnswerRules,
    Grade,
    Grader,
    GradingTask,
)
from ratchet.verifier.tables import clean_text, read_tables

SMALL_BYTES = 16 << 20
"""Files below this are graded sooner by one process than others are started."""
ADDED = {
    "answer": pa.string(),
    "correct": pa.bool_(),
    "reason": pa.string(),
    "rule": pa.string(),
    "tier": pa.string(),
}
Report = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyColumns:
    """The names of the file's columns; None where it has none."""

    completion: str
    reference: str
    finish_reason: str | None = None
    problem: str | None = None

    def names(self) -> list[str]:
        """The columns that must be there."""
        return [
            name
            for name in (self.completion, self.reference, self.finish_reason, self.problem)
            if name is not None
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifySettings:
    """How to grade. `processes` None means one for each core; 1 grades in this process, and small
    files are graded so."""

    columns: VerifyColumns
    answer_format: AnswerFormat = "auto"
    policy: AnswerRules = DEFAULT_RULES
    processes: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of a file's completions."""

    completions: int
    seconds: float
    audit: Audit = field(repr=False)

    @property
    def per_second(self) -> float:
        return self.completions / self.seconds if self.seconds else 0.0


def verify_file(
    source: Path, out: Path, settings: VerifySettings, report: Report | None = None
) -> Summary:
    """Grade `source` (Parquet, JSONL or CSV) into `out`, a Parquet file.

    `out` has the input's columns and `answer`, `correct`, `reason`, `rule`, `tier`; an input column
    of one of these names becomes `input_...`. It appears under its name only when it is whole, and
    an error leaves nothing behind. `report` is called with the number of completions done.

    Raises:
        InputError: if the file is missing, of no known kind, unreadable, without rows, or lacks a
            column; if `out` is a folder, or the file itself.
    """
    started, audit = time.monotonic(), Audit()
    tables = grade_tables(source, settings)
    prepare_target(source, out)
    graded = _audited(tables, audit, report)
    replace_with(out, lambda partial: _write(source, graded, partial))
    return Summary(audit.completions, time.monotonic() - started, audit)


Graded = tuple[pa.Table, list[GradingTask], list[Grade]]


def grade_tables(
    source: Path, settings: VerifySettings, others: Sequence[str] = ()
) -> Iterator[Graded]:
    """The rows of `source`, in order, in small tables, each with its tasks and their grades.

    `others` are further columns that must be there.

    Raises:
        InputError: if the file is missing, of no known kind, unreadable, or lacks a column.
    """
    tables = read_tables(source, [*settings.columns.names(), *others])
    return _graded(tables, settings, is_small=source.stat().st_size < SMALL_BYTES)


def prepare_target(source: Path, out: Path) -> None:
    """Refuse what cannot be written, before anything is graded; make the folder it goes to."""
    if out.is_dir():
        raise InputError(
            f"{out} is a folder; name the file to write, e.g. {out / 'graded.parquet'}"
        )
    if out.exists() and out.samefile(source):
        raise InputError(f"{out} is the input itself, and would be replaced; give another name")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{out} cannot be written: above it is a file, no folder") from None


def _audited(
    graded: Iterator[Graded], audit: Audit, report: Report | None
) -> Iterator[tuple[pa.Table, list[Grade]]]:
    for table, tasks, grades in graded:
        for task, grade in zip(tasks, grades, strict=True):
            audit.add(task.problem or task.reference_answer, task.reference_answer, grade)
        yield table, grades
        if report:
            report(audit.completions)


def _write(source: Path, graded: Iterator[tuple[pa.Table, list[Grade]]], partial: Path) -> None:
    results = (_with_grades(table, grades) for table, grades in graded)
    first = next(results, None)
    if first is None:
        raise InputError(f"{source} has no rows, so there is nothing to verify")
    with pq.ParquetWriter(partial, first.schema) as writer:
        for result in chain([first], results):
            writer.write_table(result.cast(writer.schema))


def _graded(
    tables: Iterator[pa.Table], settings: VerifySettings, is_small: bool
) -> Iterator[Graded]:
    processes = settings.processes or (1 if is_small else os.cpu_count() or 1)
    if processes > 1:
        with Crew(processes, _grade_batch, _begin) as crew:
            batches = (((table, tasks), tasks) for table, tasks in _with_tasks(tables, settings))
            for (table, tasks), grades in crew.map(batches):
                yield table, tasks, grades
        return
    with Grader(workers=1) as grader:
        for table, tasks in _with_tasks(tables, settings):
            yield table, tasks, grader.grade_many(tasks)


def _with_tasks(
    tables: Iterator[pa.Table], settings: VerifySettings
) -> Iterator[tuple[pa.Table, list[GradingTask]]]:
    return ((table, _tasks(table, settings)) for table in tables)


def _tasks(table: pa.Table, settings: VerifySettings) -> list[GradingTask]:
    columns = settings.columns
    completions = texts_of(table, columns.completion)
    references = texts_of(table, columns.reference)
    reasons = texts_of(table, columns.finish_reason)
    problems = texts_of(table, columns.problem)
    return [
        GradingTask(
            completion or "",
            reference or "",
            reason or "stop",
            settings.answer_format,
            problem,
            settings.policy,
        )
        for completion, reference, reason, problem in zip(
            completions, references, reasons, problems, strict=True
        )
    ]


def texts_of(table: pa.Table, column: str | None) -> list[str | None]:
    """A column's cells as texts; None for each where there is no column.

    Raises:
        InputError: if it holds lists or objects.
    """
    if column is None:
        return [None] * table.num_rows
    values = table.column(column).to_pylist()
    if any(isinstance(value, (list, dict)) for value in values):
        raise InputError(f"column {column} holds lists or objects; write each as one text")
    return [value if value is None or isinstance(value, str) else _text(value) for value in values]


def _text(value: Any) -> str | None:
    """A number's text; None for NaN, which tables write where nothing is."""
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return None
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else str(value)


def _with_grades(table: pa.Table, grades: list[Grade]) -> pa.Table:
    names = [f"input_{name}" if name in ADDED else name for name in table.column_names]
    table = table.rename_columns(names)
    for name, kind in ADDED.items():
        values = [clean_text(getattr(grade, name)) for grade in grades]
        table = table.append_column(name, pa.array(values, kind))
    return table


_GRADER: Grader | None = None


def _begin() -> None:
    """In a grading process: its own grader, with one symbolic worker."""
    global _GRADER
    _GRADER = Grader(workers=1, memo_size=50_000)


def _grade_batch(tasks: list[GradingTask]) -> list[Grade]:
    if _GRADER is None:
        raise RuntimeError("this process has no grader; it must be started with _begin")
    return _GRADER.grade_many(tasks)
