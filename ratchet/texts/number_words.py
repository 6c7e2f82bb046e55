"""Numbers in English words, as digits: `twenty five` is 25, `a hundred and two` is 102.

Words here are lower-case tokens; anything that is neither a word nor a number (a comma, a sign)
ends a number, so that "twenty, five" stays two.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_UNEVEN = {
    "first": 1,
    "third": 3,
    "fifth": 5,
    "eighth": 8,
    "ninth": 9,
    "twelfth": 12,
}
_ORDINALS = (
    _UNEVEN
    | {word + "th": value for value, word in enumerate(_ONES) if value in {4, 6, 7, 10, 11}}
    | {word + "th": value for value, word in enumerate(_ONES) if value > 12}
    | {word[:-1] + "ieth": 10 * value for value, word in enumerate(_TENS, start=2)}
)
_SUFFIXES = {1: "st", 2: "nd", 3: "rd"}
_MAX_DIGITS = 15
"""Longer numbers are left as they are: nobody writes "million" after them."""

NUMBER_WORDS = frozenset([*_SMALL, *_SCALES, *_ORDINALS, "second"])
"""A text without any of these reads the same in digits."""


def numbers_as_digits(tokens: Sequence[str]) -> list[str]:
    """`tokens` with each number in words as one token of digits.

    Ordinals become two tokens, as "25th" is (`25`, `th`). Number words that do not add up to one
    number are several: "five six" is `5`, `6`. Linear in the number of tokens.
    """
    out: list[str] = []
    end = 0
    for start in _starts(tokens):
        if start >= end:
            out.extend(tokens[end:start])
            made, end = _read(tokens, start)
            out.extend(made)
    out.extend(tokens[end:])
    return out


def _starts(tokens: Sequence[str]) -> list[int]:
    """Where a number in words may start."""
    starts = [at for at, token in enumerate(tokens) if token in NUMBER_WORDS]
    if _SCALES.keys().isdisjoint(tokens):
        return starts
    return sorted({*starts, *(at for at in range(len(tokens)) if _leads_to_scale(tokens, at))})


def _leads_to_scale(tokens: Sequence[str], at: int) -> bool:
    """`a` or digits right before `hundred`, `million`, …"""
    token = tokens[at]
    if at + 1 == len(tokens) or tokens[at + 1] not in _SCALES:
        return False
    return token in ("a", "an") or (token[0].isdigit() and len(token) <= _MAX_DIGITS)


def _read(tokens: Sequence[str], at: int) -> tuple[list[str], int]:
    """The tokens of the number that starts at `at`, and where it ends."""
    if tokens[at][0].isdigit():
        return _scaled_digits(tokens, at)
    if tokens[at] == "second":  # not in "twenty second": that may be 20 seconds as well
        return ["2", "nd"], at + 1
    number = _Number()
    end = at
    if tokens[at] in ("a", "an"):
        number.add_small(1)
        end += 1
    while end < len(tokens) and number.take(tokens, end):
        end += 2 if tokens[end] == "and" else 1
    if end == at:
        return [tokens[at]], at + 1
    return _with_decimals(number, tokens, end)


def _scaled_digits(tokens: Sequence[str], at: int) -> tuple[list[str], int]:
    value, end = Decimal(tokens[at]), at + 1
    while end < len(tokens) and tokens[end] in _SCALES:
        value *= _SCALES[tokens[end]]
        end += 1
    text = f"{value:f}"
    return [text.rstrip("0").rstrip(".") if "." in text else text], end


def _with_decimals(number: _Number, tokens: Sequence[str], end: int) -> tuple[list[str], int]:
    """`number` in digits, with what `point two five` adds to it, or the suffix of an ordinal."""
    value = str(number.value)
    if number.is_ordinal:
        return [value, _suffix(number.value)], end
    decimals = ""
    if end < len(tokens) and tokens[end] == "point":
        after = end + 1
        while after < len(tokens) and _SMALL.get(tokens[after], 10) < 10:
            decimals += str(_SMALL[tokens[after]])
            after += 1
        end = after if decimals else end
    return [f"{value}.{decimals}" if decimals.rstrip("0") else value], end


def _suffix(value: int) -> str:
    return "th" if value % 100 in (11, 12, 13) else _SUFFIXES.get(value % 10, "th")


class _Number:
    """A number as its words come in. `_room` is what the next small part must stay below."""

    def __init__(self) -> None:
        self._done = 0
        self._part = 0
        self._room = 1000
        self._scale = 10**15
        self._seen = False
        self.is_ordinal = False

    @property
    def value(self) -> int:
        return self._done + self._part

    def take(self, tokens: Sequence[str], at: int) -> bool:
        """Whether the word at `at` (with the one after it, if it is `and`) goes on this number."""
        word = tokens[at]
        if self.is_ordinal:
            return False
        if word == "and":
            return self._takes_and(tokens, at)
        if word in _SMALL:
            return self.add_small(_SMALL[word])
        if word in _ORDINALS and self.add_small(_ORDINALS[word]):
            self.is_ordinal = True
            return True
        return word in _SCALES and self._scale_up(_SCALES[word])

    def add_small(self, value: int) -> bool:
        """Add a number below 100, if there is room; after it there is room for less."""
        if value >= self._room or (value == 0 and self._seen):
            return False
        self._part += value
        self._room = 10 if value >= 20 else 0
        self._seen = True
        return True

    def _takes_and(self, tokens: Sequence[str], at: int) -> bool:
        """`hundred and two`, but not the `and` of "one hundred and two hundred"."""
        if self._room not in (100, 1000) or at + 1 == len(tokens):
            return False
        scale = _SCALES.get(tokens[at + 2], 0) if at + 2 < len(tokens) else 0
        small = _SMALL.get(tokens[at + 1], 0)
        starts_another = small == 0 or scale == 100 or scale >= self._scale
        return not starts_another and self.add_small(small)

    def _scale_up(self, scale: int) -> bool:
        if scale == 100:
            if not 0 < self._part < 100:
                return False
            self._part, self._room = self._part * 100, 100
            return True
        if not self._part or scale >= self._scale:
            return False
        self._done += self._part * scale
        self._part, self._room, self._scale = 0, 1000, scale
        return True
