"""Reads Parquet, JSONL and CSV files of any size as a stream of small tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ratchet.errors import InputError

BATCH_ROWS = 1_000
BATCH_BYTES = 4 << 20
"""Text of a batch from which it is sent off, however few rows it has."""


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
    for table in tables:
        missing = [name for name in columns if name not in table.column_names]
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
    try:
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _changes_type(source, line, error) from None


def _unified(source: Path, line: int, known: pa.Schema, found: pa.Schema) -> pa.Schema:
    try:
        return pa.unify_schemas([known, found], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _changes_type(source, line, error) from None


def _changes_type(source: Path, line: int, error: Exception) -> InputError:
    return InputError(
        f"{source}, from line {line}: a column changes its type ({error}); "
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
