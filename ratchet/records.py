"""The rows that stages hand to each other, and their Parquet schemas.

Every row type is a frozen dataclass; `schema_of` derives its Arrow schema, whose metadata carries
the schema's name and version so that a reader can refuse what it does not know.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from typing import (
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import pyarrow as pa

FinishReason = Literal["stop", "length", "error"]


class Row(Protocol):
    """A frozen dataclass with a schema name and version.

    It may name in `OLDER` the versions that lack nothing but columns with a default.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    SCHEMA: ClassVar[str]


RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem whose answer is known."""

    SCHEMA: ClassVar[str] = "problems/1"

    problem_id: str
    problem: str
    reference_answer: str
    solution: str | None = None
    source: str = ""
    split: str = ""
    level: int | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled text. `logprob` is the sum over its tokens, in nats.

    `error` says why there is none where finish_reason is "error" (e.g. `prompt_too_long`).
    """

    SCHEMA: ClassVar[str] = "completions/1"

    problem_id: str
    iteration: int
    attempt: int
    prompt: str
    completion: str
    finish_reason: FinishReason
    num_prompt_tokens: int
    num_tokens: int
    logprob: float | None
    policy: str
    sampler: str
    temperature: float
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One filter's decision on one completion.

    `reward` is the number that the filter judged by; `note` says more to a person.
    """

    SCHEMA: ClassVar[str] = "verdicts/2"

    problem_id: str
    attempt: int
    filter: str
    accepted: bool
    reason: str
    reward: float | None = None
    step_rewards: list[float] | None = None
    answer: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SftRow:
    """One training row for SFT; the loss is on `completion` and its end token only.

    What was cut at its length limit (finish_reason "length") has no end token to learn.
    """

    SCHEMA: ClassVar[str] = "sft/2"
    OLDER: ClassVar[tuple[str, ...]] = ("sft/1",)

    problem_id: str
    attempt: int
    prompt: str
    completion: str
    weight: float = 1.0
    finish_reason: FinishReason = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class DpoRow:
    """One pair for DPO: two completions of one group, `chosen` right and `rejected` wrong."""

    SCHEMA: ClassVar[str] = "dpo/2"
    OLDER: ClassVar[tuple[str, ...]] = ("dpo/1",)

    problem_id: str
    chosen_attempt: int
    rejected_attempt: int
    prompt: str
    chosen: str
    rejected: str
    chosen_finish_reason: FinishReason = "stop"
    rejected_finish_reason: FinishReason = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpoRow:
    """One problem for GRPO, which samples its own completions. `prompt` is the rendered text."""

    SCHEMA: ClassVar[str] = "grpo/1"

    problem_id: str
    problem: str
    prompt: str
    reference_answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRow:
    """One graded completion of a benchmark.

    `correct` is None where the grader could not say, or the engine made no completion to grade.
    `logprob` is the sum over its tokens, in nats; None where the engine gives none.
    """

    SCHEMA: ClassVar[str] = "evals/2"
    OLDER: ClassVar[tuple[str, ...]] = ("evals/1",)

    benchmark: str
    problem_id: str
    attempt: int
    completion: str
    answer: str | None
    correct: bool | None
    reason: str
    finish_reason: FinishReason
    num_tokens: int
    level: int | None = None
    subject: str | None = None
    logprob: float | None = None


_ARROW: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    list[float]: pa.list_(pa.float64()),
}


def _arrow_type(hint: Any) -> tuple[pa.DataType, bool]:
    """(Arrow type, nullable) of a field's annotation."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [a for a in get_args(hint) if a is not type(None)]
        return _arrow_type(inner[0])[0], True
    if get_origin(hint) is Literal:
        return pa.string(), False
    return _ARROW[hint], False


@cache
def schema_of(row_type: type[Row]) -> pa.Schema:
    """Arrow schema of a row type, with its name and version in the metadata."""
    hints = get_type_hints(row_type)
    columns = []
    for field in fields(row_type):
        arrow, nullable = _arrow_type(hints[field.name])
        columns.append(pa.field(field.name, arrow, nullable=nullable))
    return pa.schema(columns, metadata={"ratchet.schema": row_type.SCHEMA})


def to_table(rows: Iterable[RowT], row_type: type[RowT]) -> pa.Table:
    """Rows as one Arrow table with `row_type`'s schema."""
    schema = schema_of(row_type)
    rows = list(rows)
    columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
    return pa.Table.from_pydict(columns, schema=schema)


def from_table(table: pa.Table, row_type: type[RowT]) -> list[RowT]:
    """Rows of an Arrow table; what an older version of the rows lacks has its default.

    Raises:
        ValueError: if the table was written with another schema name or version.
    """
    seen = (table.schema.metadata or {}).get(b"ratchet.schema", b"none").decode()
    if seen not in (row_type.SCHEMA, *getattr(row_type, "OLDER", ())):
        raise ValueError(
            f"the table's schema is {seen!r}, expected {row_type.SCHEMA!r}; "
            "it was written by another version or is another kind of rows"
        )
    return [row_type(**row) for row in table.to_pylist()]
