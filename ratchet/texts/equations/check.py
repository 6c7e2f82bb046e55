"""Equations written in a solution's text, and whether each of them holds.

Read are plain text, LaTeX, GSM8K's calculator marks, and words between numbers and signs
(`5 apples * 3 = 15 apples`). An equation with an unknown is found, but not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from ratchet.texts.equations.chains import EquationRun, Side, find_runs, pairs_of
from ratchet.texts.equations.holds import Disagreement, agree, agree_in
from ratchet.texts.equations.plain_text import MARK, plain

MAX_CHARS = 100_000
"""Characters of a text that are read; equations beyond them are not found."""

_COMPUTES = re.compile(r".[-+*/^(]")
_ZEROS = re.compile(r"(\.[0-9]*?)0+(?![0-9])")
_NO_ZERO = re.compile(r"(?<![0-9])\.(?=[0-9])")
_BRACKETED = re.compile(r"\(([0-9.]+)\)")


@dataclass(frozen=True, slots=True)
class Equation:
    """One `=` between two expressions, written at `start:end` of the text.

    `lhs` and `rhs` are its sides in plain signs, without spaces, words and thousands separators.
    `holds` is None where it can't be checked. `in_mark` says that it stands in a calculator mark.
    """

    text: str
    start: int
    end: int
    lhs: str
    rhs: str
    holds: bool | None
    in_mark: bool = False


def find_equations(text: str, limit: int = MAX_CHARS) -> list[Equation]:
    """The equations of the first `limit` characters, in order, each pair of a chain `a=b=c` alone.

    A calculator mark that repeats an equation of the text around it is not listed. Two plain
    numbers make an equation only within a chain (`12 inches = 1 foot` is none). Time is linear in
    the text's length.
    """
    return list(_found(text, limit))


def checkable(text: str) -> list[Equation]:
    """The equations of `find_equations` of which it is known whether they hold."""
    return [equation for equation in find_equations(text) if equation.holds is not None]


def held_share(equations: Sequence[Equation]) -> float | None:
    """The share of checkable equations that hold; None where there are none."""
    held = sum(equation.holds is True for equation in equations)
    return held / len(equations) if equations else None


@lru_cache(maxsize=1_024)
def _found(text: str, limit: int) -> tuple[Equation, ...]:
    """Remembered, as a filter and a signature ask for the same text one after the other."""
    read = text[:limit]
    if "=" not in read and "≈" not in read and "approx" not in read:
        return ()
    found = list(_equations_in(read, plain(read)))
    if "<<" in read:
        known = {equation.lhs + "=" + equation.rhs for equation in found}
        marks = [mark for mark in MARK.finditer(read) if mark[1] not in known]
        if marks:
            found.extend(e for e in _in_marks(marks) if e.lhs + "=" + e.rhs not in known)
            found.sort(key=lambda equation: equation.start)
    if len(text) > limit and found and not read[found[-1].end :].strip():
        found.pop()  # it may go on behind the limit
    return tuple(found)


def signature(text: str) -> str:
    """The checkable equations of a text in order, each spelled in one way; "" if there are none.

    Two solutions with one signature compute the same in the same order, which rejection-sampling
    fine-tuning takes for the same reasoning path (Yuan et al. 2023,
    https://arxiv.org/abs/2308.01825). `3*4=12`, `3 \\times 4 = 12` and `<<3*4=12>>12` have one.
    """
    return ";".join(spelled_equations(text))


def spelled_equations(text: str) -> list[str]:
    """The equations of a text's signature, one by one; what a text says twice is there twice."""
    kept, end = [], 0
    for equation in checkable(text):
        if not equation.in_mark:
            end = equation.end
        elif equation.start < end or not _COMPUTES.search(equation.lhs):
            continue  # the text around the mark says the same, or it is `<<5=5>>`
        kept.append(_normal(equation.lhs) + "=" + _normal(equation.rhs))
    return kept


def _normal(side: str) -> str:
    """`.50*(3)` -> `0.5*3`."""
    if "." in side:
        side = _NO_ZERO.sub("0.", _ZEROS.sub(r"\1", side))
        side = re.sub(r"\.(?![0-9])", "", side)
    return _BRACKETED.sub(r"\1", side) if "(" in side else side


def _in_marks(marks: Iterable[re.Match[str]]) -> Iterator[Equation]:
    for mark in marks:
        at = mark.start(1)
        for equation in _equations_in(mark[1], mark[1], in_mark=True):
            yield replace(equation, start=at + equation.start, end=at + equation.end)


def _equations_in(text: str, spelled: str, in_mark: bool = False) -> Iterator[Equation]:
    """Equations of `spelled`, which is `text` in plain signs, character by character."""
    for at, run in find_runs(spelled):
        for pair in _read(run, in_mark):
            left, right, holds = pair.left, pair.right, pair.holds
            if isinstance(holds, Disagreement):
                holds = agree_in(spelled, at, (left, right), holds, pair.sign == "≈")
            written = text[at + left.start : at + right.end]
            start = at + left.start + len(written) - len(written.lstrip())
            written = written.strip()
            end = start + len(written)
            yield Equation(written, start, end, pair.lhs, pair.rhs, holds, in_mark)


class _Pair(NamedTuple):
    """Two sides, spelled, and whether they agree by themselves."""

    left: Side
    sign: str
    right: Side
    lhs: str
    rhs: str
    holds: bool | Disagreement | None


@lru_cache(maxsize=8_192)
def _read(run: EquationRun, in_mark: bool) -> tuple[_Pair, ...]:
    """The equations of a run. Remembered: a group's completions have most of them in common."""
    return tuple(
        _Pair(left, sign, right, left.spelled, right.spelled, agree(left, right))
        for left, sign, right in pairs_of(run)
        if in_mark or not _is_trivial(left, right, sign)
    )


def _is_trivial(left: Side, right: Side, sign: str) -> bool:
    """Whether two plain numbers are set equal that aren't meant to be compared."""
    if not (left.is_number and right.is_number):
        return False
    return left.has_words or right.has_words or (left.opens and sign != "≈")
