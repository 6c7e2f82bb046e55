"""Finds runs like `2 apples * 3 = 6 apples = 12 / 2` in plain text.

One pattern reads a whole run, each number with the words after it. Its repetitions are possessive
or bounded, so that time is linear in the text's length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ratchet.texts.equations.parse import (
    AND_NUMBER,
    DIVIDED,
    LETTER,
    MINUS,
    MIXED,
    NUMBER,
    TIMES,
    tokens_of,
)

GLUE = 3
"""Characters before a run that tell a unit from an unknown in it."""
LOOK_BACK = 30
"""Characters before a run that may hold a sign which belongs to it."""

_GAP = r"[ \t]*+"
_SIGN = rf"(?:[-+{MINUS}]{_GAP})?+"
_CURRENCY = rf"(?:(?:US)?[$€£¥¢]{_GAP}){{0,2}}+"
_NO_UNIT = (
    rf"(?![xX]{_GAP}{AND_NUMBER}|of[ \t]+(?:the )?{AND_NUMBER}|(?:is|are|was|were|be) -"
    r"|(?:because|since|so|therefore|then|thus|hence|if|gets?|gives|means|equals)\b)"
)
_WORD = rf"(?:/ ?)?+{_NO_UNIT}{LETTER}++(?:[-'’/.&]{LETTER}++)*+"
_AFTER_NUMBER = rf"(?:{_GAP}(?:[)\]%²³…]|(?<=[0-9)])[$€£¢]|\.\.\.|{_WORD})){{0,14}}+"
_OPERAND = (
    rf"{_SIGN}{_CURRENCY}(?:[(\[]{_GAP}){{0,8}}+{_SIGN}{_CURRENCY}(?:[-{MINUS}]{_GAP})?+"
    rf"(?:{MIXED}|{NUMBER})(?!:[0-9]|,[0-9]){_AFTER_NUMBER}"
)
_OPERATOR = (
    rf"(?:{_GAP}(?:\*\*?+|[-+/{MINUS}{TIMES}{DIVIDED}]|(?<=[0-9)\]])\^"
    rf"|(?<!{LETTER})[xX](?!{LETTER})(?!{_GAP}[-+])|(?<=[0-9)%] )of(?: the)?(?= )){_GAP}"
    r"|(?<=[0-9)])(?=\()|(?<=\))[ \t]++(?=\())"
)
_EXPRESSION = rf"{_OPERAND}(?:{_OPERATOR}{_OPERAND}){{0,60}}+"
_EQUALS = r"(?:(?<![<>!:=≤≥≠])=(?![=>])|==|≈)"
_CHAIN = re.compile(
    rf"(?<![\w.#])(?<![0-9][,:]){_EXPRESSION}(?:{_GAP}({_EQUALS}){_GAP}{_EXPRESSION}){{0,20}}+"
)
"""A run; a number that no `=` follows is one too, without the group, so that none is read twice."""
_SPLIT = re.compile(_EQUALS)
_LETTER = re.compile(
    r"[A-Za-z](?![\w'’&]|-[A-Za-z])"
    r"(?:(?<=[0-9)\]].)|(?<=[0-9)\]][ /][B-HJ-Zb-z])|(?<=/ .)|(?<![\w'’].)(?= *+[-+*/^=]))"
    rf"(?:(?<![xX])|(?!{_GAP}{AND_NUMBER}))"
)
"""A single letter after a number or before a sign, but not `a`, `I` or an `x` that means times."""

_TIMES_OR_PLUS = rf"[*/+^√@{TIMES}{DIVIDED}]"
_SIGN_NEAR = re.compile(rf"[-xX\d)\]%_{MINUS}]|{_TIMES_OR_PLUS}")
_CUT_BEFORE = re.compile(
    rf"(?:{_TIMES_OR_PLUS}|\b[xX]\b)[ \t.]*(?:(?!is |are |was |or |of ){LETTER}+ ){{0,2}}[$( \t]*\Z"
    rf"|(?:[\d)\]%]|(?<!{LETTER}){LETTER}) ?[-{MINUS}][$( \t]*\Z|[\w)\]]\Z|\d \Z"
)
_TERM_BEFORE = re.compile(r"[\w)\]] ?\Z")
_FACTOR_BEFORE = re.compile(rf"(?:[\d)\]]|(?<!{LETTER}){LETTER}) *\Z")
_CUT_AFTER = re.compile(
    rf"{_GAP}(?:{_TIMES_OR_PLUS}|_|\.?{_GAP}√|\({_GAP}(?:[-(√\d]|[A-Za-z]\))"
    rf"|[-{MINUS}] ?(?:[$(\d√]|{LETTER}(?![\w'’]))|[xX] ?[\d(])|(?<=\d) \d{{3}}(?!\d)"
)


@dataclass(slots=True)
class Side:
    """One side of an equation, at `start:end` of its run.

    `letters` are the single letters next to its numbers and signs, unknowns or short units (`2x`,
    `5 m`); `cut` says that signs stand beyond it which belong to it and can't be read; `opens`
    that it is the first of its run, `runs_on` that another `=` follows.
    """

    start: int
    end: int
    text: str
    tokens: list[str]
    letters: list[str]
    cut: bool = False
    opens: bool = False
    runs_on: bool = False

    @property
    def is_number(self) -> bool:
        """Whether there is nothing to compute."""
        return len(self.tokens) == 1 or (len(self.tokens) == 2 and self.tokens[0] in "+-")

    @property
    def has_words(self) -> bool:
        """Whether there are units or other words."""
        return re.search(LETTER, self.text) is not None

    @property
    def spelled(self) -> str:
        """The tokens as one word, thousands separators left out."""
        return "".join(self.tokens).replace(",", "")

    @property
    def without_percent(self) -> list[str]:
        """The tokens, percent signs left out."""
        return [token.rstrip("%… .\t") if "%" in token else token for token in self.tokens]


class EquationRun(NamedTuple):
    """All that decides how a run's sides are read, wherever it stands.

    `glue` are the characters before it and `behind` is the one after it; it is cut where signs
    stand beyond it which belong to it. A tuple, as each run of each text is looked up.
    """

    glue: str
    written: str
    behind: str
    cut_before: bool
    cut_after: bool


def find_runs(text: str) -> Iterator[tuple[int, EquationRun]]:
    """Where each run with a `=` or `≈` of a plain text begins, and the run."""
    for chain in _CHAIN.finditer(text):
        if chain.lastindex:
            start, end = chain.span()
            written = chain.group()
            before = text[max(0, start - LOOK_BACK) : start]
            yield (
                start,
                EquationRun(
                    before[-GLUE:],
                    written,
                    text[end : end + 1],
                    _is_cut_before(before, written),
                    _CUT_AFTER.match(text, end) is not None,
                ),
            )


def pairs_of(run: EquationRun) -> Iterator[tuple[Side, str, Side]]:
    """The sides of each sign of a run, with that sign; two for `a = b = c`."""
    sides: list[Side] = []
    signs: list[str] = []
    at = 0
    for sign in _SPLIT.finditer(run.written):
        sides.append(_side(run, at, sign.start()))
        signs.append(sign.group())
        at = sign.end()
    for side in sides:
        side.runs_on = True
    sides.append(_side(run, at, len(run.written)))
    sides[0].opens = True
    _drop_open_brackets(sides[0].tokens, sides[-1].tokens)
    sides[0].cut, sides[-1].cut = run.cut_before, run.cut_after
    yield from zip(sides, signs, sides[1:], strict=False)


def _side(run: EquationRun, start: int, end: int) -> Side:
    inside, at = run.written[start:end], len(run.glue)
    around = run.glue + run.written + run.behind
    letters = _LETTER.findall(around, at + start, at + end + 1)
    return Side(start, end, inside, tokens_of(inside), letters)


def _drop_open_brackets(first: list[str], last: list[str]) -> None:
    """Takes away the brackets around a whole run, `(3 * 4 = 12)`."""
    while first[0] == "(" and first.count("(") > first.count(")"):
        del first[0]
    while last[-1] == ")" and last.count(")") > last.count("("):
        del last[-1]


def _is_cut_before(before: str, written: str) -> bool:
    """Whether what stands before a run belongs to it although it can't be read (`x + 3 = 5`)."""
    before = before.rpartition("\n")[2]
    if not before or (written[0] not in "+-(" and not _SIGN_NEAR.search(before)):
        return False
    if _CUT_BEFORE.search(before):
        return True
    if written[0] == "(":
        return _FACTOR_BEFORE.search(before) is not None
    return written[0] in "+-" and written[1] == " " and _TERM_BEFORE.search(before) is not None
