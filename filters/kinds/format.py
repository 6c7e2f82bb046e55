"""The format filter: a completion ended by itself and has the shape that is asked for."""

from __future__ import annotations

from typing import Annotated, Literal

import regex
from pydantic import Field, field_validator

from filters.base import FilterBase, FilterContext, Mark
from ratchet.records import Completion, FinishReason, Problem
from ratchet.texts.completion_shape import Shape, compiled, shape_fault
from ratchet.verifier.find.extraction import AnswerFormat


class FormatConfig(FilterBase):
    """What a completion must look like."""

    kind: Literal["format"] = "format"
    finish_reasons: tuple[FinishReason, ...] = ("stop",)
    """How sampling may have ended; a completion cut off at its length limit teaches to ramble."""
    boxed: Literal["any", "at_least_one", "exactly_one"] = "any"
    """How many `\\boxed{…}` there must be; one that is empty or never closed is none."""
    think: bool = False
    """One `<think>...</think>` at the start, and something after it."""
    tags: tuple[Annotated[str, Field(pattern=r"^[A-Za-z][\w-]*$")], ...] = ()
    """Tags that must each occur once, in this order, with nothing outside: `["reasoning",
    "answer"]`."""
    pattern: str | None = None
    """A regular expression that must be found somewhere; `.` matches line ends too."""
    min_reasoning_chars: Annotated[int, Field(ge=0)] = 0
    """Characters, spaces apart, that must stand before the answer."""
    answer_format: AnswerFormat = "auto"
    """Where the answer is looked for, to know what stands before it."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                compiled(pattern)
            except regex.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return pattern

    @field_validator("finish_reasons")
    @classmethod
    def _some_end(cls, reasons: tuple[FinishReason, ...]) -> tuple[FinishReason, ...]:
        if not reasons:
            raise ValueError('an empty list rejects every completion; use ["stop"]')
        return reasons

    def shape(self) -> Shape:
        """What is asked for, as the shared rule."""
        return Shape(
            boxed=self.boxed,
            think=self.think,
            tags=self.tags,
            pattern=self.pattern,
            min_reasoning_chars=self.min_reasoning_chars,
            answer_format=self.answer_format,
        )


class Format:
    """Accepts `well_formed`; else `finish_length`, `finish_error`, or a fault of the shape."""

    def __init__(self, config: FormatConfig, _context: FilterContext) -> None:
        self._ends = frozenset(config.finish_reasons)
        self._shape = config.shape()

    def mark(self, _problem: Problem, completion: Completion) -> Mark:
        """One completion's mark."""
        if completion.finish_reason not in self._ends:
            return Mark(False, f"finish_{completion.finish_reason}", note=completion.error)
        fault = shape_fault(completion.completion, self._shape)
        return Mark(False, fault) if fault else Mark(True, "well_formed")
