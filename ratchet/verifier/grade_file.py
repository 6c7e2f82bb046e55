"""The grades of a part's completions, in a file beside it: graded beside sampling, read by filters.

Nothing hangs on the file: where it is missing, or was made by other rules or for another part, the
completions are graded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.records import schema_of
from ratchet.store.artifacts import Artifact, Part, Workspace
from ratchet.verifier.grades import Grade

_KEY, _PART = b"ratchet.grades.key", b"ratchet.grades.part"


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRow:
    """The grade of the completion in the same row of the part; without a reason there is none."""

    SCHEMA: ClassVar[str] = "grades/1"

    answer: str | None
    correct: bool | None
    reason: str | None
    rule: str | None
    tier: str | None
    disagreed: bool


def write_grades(out: Workspace, part: Part, grades: Sequence[Grade | None], key: str) -> None:
    """Write the grades of a part's rows, None for a row without; `key` says what they hang on.

    Raises:
        ValueError: if there are not as many grades as rows.
    """
    if len(grades) != part.rows:
        raise ValueError(f"{len(grades)} grades for the {part.rows} rows of {part.file}")
    schema = schema_of(GradeRow)
    columns = {name: [getattr(grade, name, None) for grade in grades] for name in schema.names}
    columns["disagreed"] = [grade is not None and grade.disagreed for grade in grades]
    about = {**(schema.metadata or {}), _KEY: key.encode(), _PART: part.sha256.encode()}
    table = pa.Table.from_pydict(columns, schema=schema.with_metadata(about))
    out.write_note(part, table)


def read_grades(artifact: Artifact, part: Path, key: str) -> list[Grade | None] | None:
    """The grades of a part's rows; None where there are none for this part under this key."""
    path = artifact.note_of(part)
    if not path.is_file():
        return None
    file = pq.ParquetFile(path)
    about = file.schema_arrow.metadata or {}
    if (about.get(_KEY), about.get(_PART)) != (key.encode(), artifact.sha256_of(part).encode()):
        return None
    if about.get(b"ratchet.schema") != GradeRow.SCHEMA.encode():
        return None
    columns = file.read().to_pydict()
    rows = zip(*(columns[name] for name in schema_of(GradeRow).names), strict=True)
    return [None if row[2] is None else Grade(*row) for row in rows]
