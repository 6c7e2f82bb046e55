"""Answers in `\\boxed{...}` and `\\fbox{...}`: balanced, joined where they belong together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_TOKEN = re.compile(r"\\\\?(?:boxed|fbox)\s*\{|\\[\\{}]|\{|\}")
_BARE = re.compile(r"\\boxed\s+([^\s{}$]+)")
_OPEN = re.compile(r"\\{1,2}(?:boxed|fbox)\s*\{")
_MAX_GAP = 60
_MAX_JOINED = 50

_GAP_NOISE = re.compile(
    r"\\(?:text|mbox|textrm|mathrm)\s*\{([^{}]*)\}|\\q?quad|\\[()\[\],;:! ]|[$+*\s]+"
)
_GAP_WORDS = re.compile(
    r"[,;]?(?:\s*[a-z]+(?:\s*\([a-z]\))?){0,5}?\s*(?:[,;]|,?\s*\b(?:and|or))", re.I
)
_GAP_SUBJECT = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?\s*=\s*$")
_TAKEN_BACK = re.compile(
    r"\b(?:wait|actually|mistake|incorrect|wrong|error|instead|apologi[sz]e|sorry|hmm|oops|"
    r"correct(?:ion|ed|ing)|re-?(?:check|calculat|consider|evaluat|comput|vis)\w*|"
    r"let me|double[- ]check|on second thought|not right|no,)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Box:
    """The content of one box, where its command begins, and the offset behind its brace."""

    content: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class BoxedAnswer:
    """The last boxed answer, and those before it that differ and were never taken back."""

    answer: str
    start: int
    end: int
    rivals: tuple[str, ...] = ()


def boxes_of(text: str) -> list[Box]:
    """All balanced boxes with something in them, in order; of nested ones the innermost.

    Linear in the text's length.
    """
    found: list[Box] = []
    opened: list[tuple[int, int] | None] = []
    for token in _TOKEN.finditer(text):
        symbol = token.group()
        if symbol == "{":
            opened.append(None)
        elif symbol.endswith("{") and len(symbol) > 2:
            opened.append(token.span())
        elif symbol == "}" and opened:
            span = opened.pop()
            if span and not (found and found[-1].start > span[0]):
                content = text[span[1] : token.start()].strip()
                if content:
                    found.append(Box(content, span[0], token.end()))
    return found


def boxed_answer(text: str) -> BoxedAnswer | None:
    """What the last boxes of a text say, or None where there is none."""
    if "boxed" not in text and "fbox" not in text:
        return None
    boxes = boxes_of(text)
    if boxes:
        return _last_group(text, boxes)
    bare = list(_BARE.finditer(text))
    return (
        BoxedAnswer(bare[-1][1].rstrip(".,;"), bare[-1].start(), bare[-1].end()) if bare else None
    )


def open_box(text: str) -> str | None:
    """The content of a last box whose brace is missing, up to the text's end."""
    opened = list(_OPEN.finditer(text))
    return text[opened[-1].end() :].strip().rstrip("$. ") or None if opened else None


def is_taken_back(between: str) -> bool:
    """Whether the words between two answers take back the first."""
    return _TAKEN_BACK.search(between) is not None


def _last_group(text: str, boxes: Sequence[Box]) -> BoxedAnswer:
    groups: list[list[Box]] = [[boxes[0]]]
    for before, box in pairwise(boxes):
        if len(groups[-1]) < _MAX_JOINED and _belong_together(text[before.end : box.start]):
            groups[-1].append(box)
        else:
            groups.append([box])
    last = groups[-1]
    return BoxedAnswer(_joined(last), last[0].start, last[-1].end, _rivals(text, groups))


def _belong_together(gap: str) -> bool:
    """Whether two boxes with `gap` between them are parts of one answer."""
    if len(gap) > _MAX_GAP:
        return False
    words = _GAP_SUBJECT.sub("", _GAP_NOISE.sub(r" \1 ", gap).strip()).strip()
    if not words:
        return "\n" not in gap
    return _GAP_WORDS.fullmatch(words) is not None and not is_taken_back(words + ",")


def _joined(group: Sequence[Box]) -> str:
    return ", ".join(dict.fromkeys(box.content for box in group))


def _rivals(text: str, groups: Sequence[Sequence[Box]]) -> tuple[str, ...]:
    if len(groups) == 1:
        return ()
    final = _key(_joined(groups[-1]))
    standing: list[str] = []
    for group, following in pairwise(groups):
        said = _joined(group)
        if _key(said) == final:
            continue
        if not is_taken_back(text[group[-1].end : following[0].start]):
            standing.append(said)
    return tuple(dict.fromkeys(standing))


_KEY_NOISE = re.compile(r"\\[dt](?=frac)|\\(?:left|right|text|[,;:! ])|[\s{}$.\\]")


def _key(answer: str) -> str:
    return _KEY_NOISE.sub("", answer)
