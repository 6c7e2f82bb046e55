"""Rows of problem sets as plain dictionaries, from files and from the Hugging Face hub."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.errors import InputError

RawRow = Mapping[str, Any]

FILE_COLUMN = "__file__"
"""Column added to the rows of a folder of JSON files: the path below that folder."""


def read_rows(path: Path) -> list[RawRow]:
    """The rows of a JSONL, JSON, Parquet or CSV file, or of all files of one kind in a folder.

    Raises:
        InputError: if there is no such file, its kind is unknown, or it cannot be read.
    """
    if not path.exists():
        raise InputError(f"no file or folder {path.absolute()}; check the source's path")
    if not path.is_dir():
        return _read_file(path)
    return list(chain.from_iterable(_with_file(path, file) for file in files_of(path)))


def files_of(path: Path) -> list[Path]:
    """The files that a source at `path` reads, in a fixed order.

    Raises:
        InputError: if a folder holds none, or files of several kinds.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _READERS)
    kinds = sorted({file.suffix.lower() for file in files})
    if len(kinds) != 1:
        seen = f"files of several kinds ({', '.join(kinds)})" if kinds else "no problem files"
        raise InputError(f"{path} holds {seen}; give one file, or a folder of one kind")
    return files


def load_hub(path: str, name: str | None, split: str, revision: str | None) -> list[RawRow]:
    """The rows of a set on the Hugging Face hub.

    Raises:
        InputError: if it cannot be reached, or has no such configuration, split or revision.
    """
    import datasets

    try:
        loaded = datasets.load_dataset(path, name, split=split, revision=revision)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} (name={name}, split={split}, revision={revision}) could not be loaded from "
            f"the hub: {error}; check these, or give the path of a local copy"
        ) from error
    return list(loaded)


def _with_file(folder: Path, file: Path) -> Iterator[RawRow]:
    where = file.relative_to(folder).as_posix()
    return ({**row, FILE_COLUMN: where} for row in _read_file(file))


def _read_file(path: Path) -> list[RawRow]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise InputError(f"{path}: a file of kind {path.suffix!r} cannot be read, only {known}")
    try:
        return list(reader(path))
    except (ValueError, OSError, pa.ArrowException, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from error


def _read_jsonl(path: Path) -> Iterator[RawRow]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _as_row(_parsed(path, number, line), path, number)


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}, line {number} is no JSON: {error}") from error


def _read_json(path: Path) -> Iterator[RawRow]:
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    rows = content if isinstance(content, list) else [content]
    return (_as_row(row, path, number) for number, row in enumerate(rows, start=1))


def _as_row(value: Any, path: Path, number: int) -> RawRow:
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise InputError(f"{path}, row {number} is a {kind}; every row must be a JSON object")
    return value


def _read_parquet(path: Path) -> Iterable[RawRow]:
    rows: list[RawRow] = pq.ParquetFile(path).read().to_pylist()
    return rows


def _read_csv(path: Path) -> Iterator[RawRow]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


_READERS: dict[str, Callable[[Path], Iterable[RawRow]]] = {
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
}
