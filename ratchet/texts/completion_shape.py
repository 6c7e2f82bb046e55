"""The shape that a completion must have: its tags, its boxes, its reasoning before the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import regex

from ratchet.verifier.find.boxes import boxes_of
from ratchet.verifier.find.extraction import AnswerFormat, extract_answer

BOXES_VERSION = 2
"""Raised when other texts begin to have the boxes that are asked for."""
MAX_READ = 1_000_000
"""Characters of a completion that are looked at."""
PATTERN_SECONDS = 1.0
"""Time that a user's pattern may take on one completion."""

ShapeFault = Literal[
    "no_boxed",
    "several_boxed",
    "unclosed_boxed",
    "empty_boxed",
    "no_think",
    "several_think",
    "text_before_think",
    "nothing_after_think",
    "tag_missing",
    "tag_repeated",
    "tags_out_of_order",
    "text_outside_tags",
    "empty_tag",
    "pattern_mismatch",
    "answer_first",
    "empty_reasoning",
]
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_EMPTY_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{\s*\}")
_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is required; each default requires nothing.

    `tags` must each occur once, in order, with nothing but white space between and around them.
    `pattern` is searched for, in the syntax of the `regex` package.
    """

    boxed: Literal["any", "at_least_one", "exactly_one"] = "any"
    think: bool = False
    tags: tuple[str, ...] = ()
    pattern: str | None = None
    min_reasoning_chars: int = 0
    answer_format: AnswerFormat = "auto"


def shape_fault(text: str, shape: Shape) -> ShapeFault | None:
    """The first fault that `text` has, or None.

    Raises:
        TimeoutError: if `shape.pattern` takes longer than `PATTERN_SECONDS`.
    """
    text = text[:MAX_READ]
    return (
        (_think_fault(text) if shape.think else None)
        or _tags_fault(text, shape.tags)
        or _boxed_fault(text, shape.boxed)
        or _pattern_fault(text, shape.pattern)
        or _reasoning_fault(text, shape)
    )


def tag_share(text: str, tags: Sequence[str]) -> float:
    """The share of the opening and closing `tags` that occur exactly once: a soft form of XML."""
    marks = [mark for tag in tags for mark in (f"<{tag}>", f"</{tag}>")]
    return sum(text.count(mark) == 1 for mark in marks) / len(marks) if marks else 1.0


def _think_fault(text: str) -> ShapeFault | None:
    if _CLOSE not in text:
        return "no_think"
    if text.count(_CLOSE) > 1 or text.count(_OPEN) > 1:
        return "several_think"
    # Chat templates may put the opening tag into the prompt already.
    head = text.partition(_OPEN)[0] if _OPEN in text else ""
    if head.strip():
        return "text_before_think"
    return None if text.partition(_CLOSE)[2].strip() else "nothing_after_think"


def _tags_fault(text: str, tags: Sequence[str]) -> ShapeFault | None:
    marks = [mark for tag in tags for mark in (f"<{tag}>", f"</{tag}>")]
    if not all(mark in text for mark in marks):
        return "tag_missing"
    if any(text.count(mark) > 1 for mark in marks):
        return "tag_repeated"
    starts = [text.index(mark) for mark in marks]
    if starts != sorted(starts):
        return "tags_out_of_order"
    return _between_tags_fault(text, marks, starts) if marks else None


def _between_tags_fault(
    text: str, marks: Sequence[str], starts: Sequence[int]
) -> ShapeFault | None:
    """Text where none may be, or none where some must be; `starts` rise."""
    ends = [start + len(mark) for start, mark in zip(starts, marks, strict=True)]
    pieces = [
        text[end:start].strip() for end, start in zip([0, *ends], [*starts, None], strict=True)
    ]
    if any(pieces[::2]):
        return "text_outside_tags"
    return None if all(pieces[1::2]) else "empty_tag"


def _boxed_fault(text: str, boxed: str) -> ShapeFault | None:
    if boxed == "any":
        return None
    opened = sum(1 for _ in _BOX.finditer(text))
    if not opened:
        return "no_boxed"
    if boxed == "exactly_one" and opened > 1:
        return "several_boxed"
    if boxes_of(text):
        return None
    return "empty_boxed" if _EMPTY_BOX.search(text) else "unclosed_boxed"


def _pattern_fault(text: str, pattern: str | None) -> ShapeFault | None:
    if pattern is None:
        return None
    found = compiled(pattern).search(text, timeout=PATTERN_SECONDS)
    return None if found else "pattern_mismatch"


@lru_cache(maxsize=64)
def compiled(pattern: str) -> regex.Pattern[str]:
    """A user's pattern; `.` matches line ends too.

    Raises:
        regex.error: if it is no pattern.
    """
    return regex.compile(pattern, regex.DOTALL)


def _reasoning_fault(text: str, shape: Shape) -> ShapeFault | None:
    """Too little text before the answer: the answer comes first, or there is no reasoning."""
    if not shape.min_reasoning_chars:
        return None
    if _CLOSE in text:
        before = text.partition(_CLOSE)[0].replace(_OPEN, "")
        after = ""
    else:
        found = extract_answer(text, shape.answer_format)
        if found is None:
            before, after = text, ""
        else:
            before, after = text[: _first_statement(text, found.start)], text[found.end :]
    if _solid(before) >= shape.min_reasoning_chars:
        return None
    return "answer_first" if _solid(after) >= shape.min_reasoning_chars else "empty_reasoning"


def _first_statement(text: str, last: int) -> int:
    """Where the first box stands, if that is before the statement that counts."""
    box = _BOX.search(text)
    return min(last, box.start()) if box else last


def _solid(text: str) -> int:
    return len("".join(text.split()))
