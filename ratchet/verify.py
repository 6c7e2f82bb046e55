"""Grades a whole file of any size, streaming, on all cores, in the file's order."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.answer_audit import Audit
from ratchet.answers import DEFAULT_POLICY, AnswerFormat, Grade, Grader, GradingTask, Policy
from ratchet.crew import Crew
from ratchet.errors import InputError
from ratchet.verify_files import clean_text, read_tables

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
    policy: Policy = DEFAULT_POLICY
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
    of one of these names becomes `input_...`. It appears under its name only when it is whole.
    `report` is called with the number of completions done.

    Raises:
        InputError: if the file is missing, of no known kind, or lacks a column.
    """
    started, audit, done = time.monotonic(), Audit(), 0
    partial = out.with_name(f"{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    writer: pq.ParquetWriter | None = None
    try:
        tables = read_tables(source, settings.columns.names())
        is_small = source.is_file() and source.stat().st_size < SMALL_BYTES
        for table, tasks, grades in _graded(tables, settings, is_small):
            for task, grade in zip(tasks, grades, strict=True):
                audit.add(task.problem or task.reference_answer, task.reference_answer, grade)
            result = _with_grades(table, grades)
            writer = writer or pq.ParquetWriter(partial, result.schema)
            writer.write_table(result.cast(writer.schema))
            done += len(grades)
            if report:
                report(done)
    finally:
        if writer:
            writer.close()
    if writer is None:
        raise InputError(f"{source} has no rows, so there is nothing to verify")
    partial.replace(out)
    return Summary(done, time.monotonic() - started, audit)


Graded = tuple[pa.Table, list[GradingTask], list[Grade]]


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
    completions = _texts(table, columns.completion)
    references = _texts(table, columns.reference)
    reasons = _texts(table, columns.finish_reason)
    problems = _texts(table, columns.problem)
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


def _texts(table: pa.Table, column: str | None) -> list[str | None]:
    if column is None:
        return [None] * table.num_rows
    values = table.column(column).to_pylist()
    return [value if value is None or isinstance(value, str) else _text(value) for value in values]


def _text(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return str(int(value)) if whole else str(value)


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
