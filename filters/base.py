"""What a filter is: completions in, marks out; it drops nothing and knows no files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Annotated, Any, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import Field

from ratchet.config import Config, of_form
from ratchet.records import Completion, Problem

Mode = Literal["require", "mark"]
"""`require`: what this filter rejects can't be selected; `mark`: its verdict is only recorded."""

UNSCORED = "unscored"
"""The reason of a completion that a filter can't judge; it is not rejected for that."""
MAX_NOTE_CHARS = 120
"""Characters of a completion that a verdict's note quotes."""
FILTER_ERROR = "filter_error"
"""The reason of a completion on which a filter raised; the verdict's note holds the message."""


FilterName = Annotated[
    str, of_form(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "letters, digits, '_', '.' and '-'")
]


class FilterBase(Config):
    """What every filter's config has, beside its `kind`."""

    kind: str
    name: FilterName | None = None
    """The name that verdicts carry; left out, the kind. Two filters of one kind need two names."""
    mode: Mode = "require"
    """`require`: what it rejects can't be selected; `mark`: its verdict is only recorded."""
    max_error_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    """Share of completions that the filter may raise on; beyond it the stage stops."""

    @property
    def label(self) -> str:
        """The filter's name in verdicts, funnel and messages."""
        return self.name or self.kind


class Mark(NamedTuple):
    """One filter's decision on one completion. A tuple, as millions travel between processes.

    `reason` is a stable code, also where the completion is accepted; `reward` is the number that
    the filter judged by, None where there is none; `note` says more to a person, e.g. the equation
    that does not hold.
    """

    accepted: bool
    reason: str
    reward: float | None = None
    note: str | None = None
    answer: str | None = None


def short_note(text: str) -> str:
    """What a note quotes of `text`, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= MAX_NOTE_CHARS else text[: MAX_NOTE_CHARS - 1] + "…"


def groups_of(completions: Iterable[Completion]) -> Iterator[list[Completion]]:
    """Consecutive completions of one problem; a shard holds whole groups."""
    for _, group in groupby(completions, key=lambda completion: completion.problem_id):
        yield list(group)


def is_sound(completion: Completion) -> bool:
    """Whether the engine made the completion; there is nothing to judge where it failed."""
    return completion.finish_reason != "error"


@dataclass(frozen=True, slots=True)
class Group:
    """The completions of one problem in one iteration, with what the filters before said of them.

    `marks` is by filter name, each list in the order of `completions`; `standing[j]` tells whether
    every required filter so far accepted completion j.
    """

    problem: Problem
    completions: Sequence[Completion]
    marks: Mapping[str, Sequence[Mark]]
    standing: Sequence[bool]


@dataclass(frozen=True, slots=True)
class LengthCounts:
    """How often each length occurs in the whole set: by filter unit, length -> completions."""

    tokens: Mapping[int, int] = field(default_factory=dict)
    chars: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterContext:
    """What a filter may know of the whole set when it is built.

    `benchmarks` is by name: dev, test, guards, and those that a decontamination filter names.
    """

    problems: Mapping[str, Problem]
    benchmarks: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    lengths: LengthCounts = field(default_factory=LengthCounts)


@runtime_checkable
class CompletionFilter(Protocol):
    """Judges completions one by one."""

    def mark(self, problem: Problem, completion: Completion) -> Mark: ...


@runtime_checkable
class GroupFilter(Protocol):
    """Judges a group; one mark per completion, in order."""

    def mark_group(self, group: Group) -> list[Mark]: ...


@runtime_checkable
class SetFilter(Protocol):
    """Judges across groups: `sketch` is made in any process, `mark_sketches` sees all in order.

    A sketch is small and picklable, and there is one per completion.
    """

    def sketch(self, group: Group) -> list[Any]: ...

    def mark_sketches(self, sketches: Sequence[Any]) -> list[Mark]: ...


Filter = CompletionFilter | GroupFilter | SetFilter
