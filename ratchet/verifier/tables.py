"""Reads Parquet, JSONL and CSV files of any size as a stream of small tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.errors import InputError

BATCH_ROWS = 1_000
BATCH_BYTES = 4 << 20
"""Text of a batch from which it is sent off, however few rows it has."""
MAX_CELL = 64 << 20
"""Characters of one cell of a CSV file: more is a quote that nobody closed."""
csv.field_size_limit(MAX_CELL)


def read_tables(source: Path, columns: list[str]) -> Iterator[pa.Table]:
    """The file's rows, in order, in tables of at most `BATCH_ROWS` rows and about `BATCH_BYTES`.

    Raises:
        InputError: if the file is missing, of no known kind, unreadable, or lacks one of `columns`.
    """
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
    return _checked(source, tables, columns)


def _checked(source: Path, tables: Iterator[pa.Table], columns: list[str]) -> Iterator[pa.Table]:
    for table in tables:
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            raise InputError(
                f"{source} has no column {', '.join(missing)}; its columns are: "
                f"{', '.join(table.column_names)}"
            )
        yield from _small(table)


def _parquet(source: Path) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(source) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                yield pa.Table.from_batches([batch])
    except pa.ArrowException as error:
        raise InputError(f"{source} cannot be read as Parquet: {error}") from None


def _csv(source: Path) -> Iterator[pa.Table]:
    """Every cell is text. Python's reader, as Arrow's knows neither rows nor cells of any size."""
    with source.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        rows = _csv_rows(source, lines)
        _, names = next(rows, (0, []))
        if not names:
            raise InputError(f"{source} is empty; its first line must name the columns")
        if len(set(names)) < len(names):
            raise InputError(f"{source}: two columns have one name: {', '.join(names)}")
        checked = (_csv_row(source, number, row, names) for number, row in rows)
        for chunk in _batches(checked):
            columns = zip(*chunk, strict=True)
            arrays = [pa.array(column, pa.string()) for column in columns]
            yield pa.Table.from_arrays(arrays, names)


def _csv_rows(source: Path, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with its number: 0 for the header."""
    number = -1
    try:
        for row in csv.reader(lines, strict=True):
            if row:
                number += 1
                yield number, row
    except csv.Error as error:
        raise InputError(
            f"{source}, row {number + 1}: no CSV ({error}); is a quote open?"
        ) from None


def _csv_row(source: Path, number: int, row: list[str], names: list[str]) -> list[str]:
    if len(row) != len(names):
        raise InputError(
            f"{source}, row {number}: {len(row)} cells, but the first line names {len(names)} "
            "columns; put a cell with commas or line breaks between double quotes"
        )
    for name, cell in zip(names, row, strict=True):
        if not cell.isascii() and clean_text(cell) != cell:
            raise InputError(f"{source}, row {number}, column {name}: not UTF-8; convert the file")
    return row


def _batches(rows: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    """Rows in lists of at most `BATCH_ROWS` and about `BATCH_BYTES`."""
    chunk: list[list[str]] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += sum(map(len, row))
        if len(chunk) == BATCH_ROWS or size >= BATCH_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _jsonl(source: Path) -> Iterator[pa.Table]:
    """Read twice: a key may show itself, or turn from whole numbers to decimals, late."""
    schema: pa.Schema | None = None
    for first_line, rows in _json_rows(source):
        found = _inferred(source, first_line, rows).schema
        schema = _unified(source, first_line, schema, found) if schema else found
    for _, rows in _json_rows(source):
        yield pa.Table.from_pylist(rows, schema=schema)


def _json_rows(source: Path) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Up to `BATCH_ROWS` rows at a time, with the number of the first one's line."""
    with source.open(encoding="utf-8", errors="replace") as lines:
        numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
        while chunk := list(islice(numbered, BATCH_ROWS)):
            yield chunk[0][0], [_row(source, number, line) for number, line in chunk]


def _inferred(source: Path, line: int, rows: list[dict[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table(
        {name: _column(source, line, name, [row.get(name) for row in rows]) for name in names}
    )


def _column(source: Path, line: int, name: str, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise _changes_type(source, line, f"column {name}: {error}") from None


def _unified(source: Path, line: int, known: pa.Schema, found: pa.Schema) -> pa.Schema:
    try:
        return pa.unify_schemas([known, found], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _changes_type(source, line, str(error)) from None


def _changes_type(source: Path, line: int, seen: str) -> InputError:
    return InputError(
        f"{source}, from line {line}: a column changes its type ({seen}); "
        "write it in one type throughout"
    )


def _row(source: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{source}, line {number}: no JSON ({error})") from None
    if not isinstance(row, dict):
        raise InputError(f"{source}, line {number}: a row must be an object, with columns as keys")
    return {key: clean_text(value) for key, value in row.items()}


def clean_text(value: Any) -> Any:
    """A text without what UTF-8 cannot hold, such as lone surrogates; anything else as it is."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _small(table: pa.Table) -> Iterator[pa.Table]:
    """The table in slices of not much more than `BATCH_BYTES`."""
    slices = max(1, min(table.num_rows, -(-table.nbytes // BATCH_BYTES)))
    rows = max(1, -(-table.num_rows // slices))
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)
