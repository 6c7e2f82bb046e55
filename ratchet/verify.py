"""Grades a whole file of any size, streaming, on all cores, in the file's order."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ratchet.answer_audit import Audit
from ratchet.answers import DEFAULT_POLICY, AnswerFormat, Grade, Grader, GradingTask, Policy
from ratchet.errors import InputError

BATCH_ROWS = 1_000
BATCH_BYTES = 4 << 20
"""Text of a batch from which it is sent off, however few rows it has."""
SMALL_BYTES = 16 << 20
"""Files below this are graded sooner by one process than others are started."""
RESTARTS = 10
"""Times that grading processes killed from outside are started anew."""
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
        tables = _tables(source, settings.columns)
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


def _tables(source: Path, columns: VerifyColumns) -> Iterator[pa.Table]:
    if not source.is_file():
        raise InputError(f"no file {source}; give a Parquet, JSONL or CSV file")
    match source.suffix.lower():
        case ".parquet":
            tables = _parquet(source)
        case ".jsonl" | ".ndjson" | ".json":
            tables = _jsonl(source)
        case ".csv":
            tables = _csv(source)
        case other:
            raise InputError(
                f"{source.name}: {other or 'no ending'} is none of .parquet, .jsonl, .csv; "
                "convert the file, or rename it"
            )
    for table in tables:
        missing = [name for name in columns.names() if name not in table.column_names]
        if missing:
            raise InputError(
                f"{source} has no column {', '.join(missing)}; its columns are: "
                f"{', '.join(table.column_names)}"
            )
        yield from _small(table)


def _parquet(source: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            yield pa.Table.from_batches([batch])


def _csv(source: Path) -> Iterator[pa.Table]:
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    names = pa_csv.open_csv(source, parse_options=parse).schema.names
    convert = pa_csv.ConvertOptions(column_types={name: pa.string() for name in names})
    with pa_csv.open_csv(source, parse_options=parse, convert_options=convert) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _jsonl(source: Path) -> Iterator[pa.Table]:
    schema: pa.Schema | None = None
    with source.open(encoding="utf-8", errors="replace") as lines:
        numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
        while chunk := list(islice(numbered, BATCH_ROWS)):
            rows = [_row(source, number, line) for number, line in chunk]
            try:
                table = pa.Table.from_pylist(rows, schema=schema)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise InputError(
                    f"{source} near line {chunk[0][0]}: a column changes its type ({error}); "
                    "write it in one type throughout"
                ) from None
            schema = schema or table.schema
            yield table


def _row(source: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{source}, line {number}: no JSON ({error})") from None
    if not isinstance(row, dict):
        raise InputError(f"{source}, line {number}: a row must be an object, with columns as keys")
    return {key: _clean(value) for key, value in row.items()}


def _clean(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _small(table: pa.Table) -> Iterator[pa.Table]:
    """The table in slices of not much more than `BATCH_BYTES`."""
    slices = max(1, min(table.num_rows, -(-table.nbytes // BATCH_BYTES)))
    rows = max(1, -(-table.num_rows // slices))
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


Graded = tuple[pa.Table, list[GradingTask], list[Grade]]


def _graded(
    tables: Iterator[pa.Table], settings: VerifySettings, is_small: bool
) -> Iterator[Graded]:
    processes = settings.processes or (1 if is_small else os.cpu_count() or 1)
    if processes > 1:
        with _Crew(processes) as crew:
            yield from crew.grade(tables, settings)
        return
    with Grader(workers=1) as grader:
        for table in tables:
            tasks = _tasks(table, settings)
            yield table, tasks, grader.grade_many(tasks)


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
        values = [_clean(getattr(grade, name)) for grade in grades]
        table = table.append_column(name, pa.array(values, kind))
    return table


class _Crew:
    """Processes that grade batches; killed ones are replaced, and their batches graded again."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._executor = self._start()
        self._restarts = 0

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def grade(self, tables: Iterator[pa.Table], settings: VerifySettings) -> Iterator[Graded]:
        """The tables in their order, each with its grades; two batches ahead for each process."""
        pending: deque[tuple[pa.Table, list[GradingTask], Future[list[Grade]]]] = deque()
        for table in tables:
            tasks = _tasks(table, settings)
            pending.append((table, tasks, self._submit(tasks)))
            if len(pending) > 2 * self._processes:
                yield self._next(pending)
        while pending:
            yield self._next(pending)

    def _next(
        self, pending: deque[tuple[pa.Table, list[GradingTask], Future[list[Grade]]]]
    ) -> Graded:
        table, tasks, future = pending.popleft()
        while True:
            try:
                return table, tasks, future.result()
            except BrokenProcessPool:
                self._restart()
                future = self._submit(tasks)
                pending_now = [(t, batch, self._submit(batch)) for t, batch, _ in pending]
                pending.clear()
                pending.extend(pending_now)

    def _submit(self, tasks: list[GradingTask]) -> Future[list[Grade]]:
        try:
            return self._executor.submit(_grade_batch, tasks)
        except BrokenProcessPool:
            self._restart()
            return self._executor.submit(_grade_batch, tasks)

    def _restart(self) -> None:
        self._restarts += 1
        if self._restarts > RESTARTS:
            raise RuntimeError(
                f"grading processes ended {RESTARTS} times, most likely killed for want of memory; "
                "use fewer processes"
            )
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._processes, get_context("spawn"), initializer=_begin)


_GRADER: Grader | None = None


def _begin() -> None:
    """In a grading process: its own grader, with one symbolic worker."""
    global _GRADER
    _GRADER = Grader(workers=1, memo_size=50_000)


def _grade_batch(tasks: list[GradingTask]) -> list[Grade]:
    if _GRADER is None:
        raise RuntimeError("this process has no grader; it must be started with _begin")
    return _GRADER.grade_many(tasks)
