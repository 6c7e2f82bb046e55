"""Whether two sides of a written equation agree, in one of the ways that people write them.

Equal values agree. Otherwise a second look tries what solutions do beside exact arithmetic: rounded
results, a percent sign as a unit, cents for dollars, running on (`2+3=5*2=10`). Each was added for
real solutions (GSM8K's) that were taken for wrong without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ratchet.texts.equations.chains import Side
from ratchet.texts.equations.parse import NotArithmetic, Number, tokens_of, value_of

MIN_ROUNDED_DIGITS = 2
"""A rounded decimal has this many digits after its leading zeros: 1/3 = .33, but not .3."""
FLOAT_DIGITS = 12
"""A decimal of more characters may be a float's."""
FLOAT_PRECISION = Fraction(1, 10**9)
"""How far sides that may have floats may differ, as a share of the right one."""
SHORT_UNITS = frozenset("mgshLl")
"""Letters that a result may carry where its terms carry none; others are unknowns."""
NEARBY = 60
"""Characters on both sides of an equation that may say that it is rounded."""

_CENTS = re.compile(r"¢|\bcents?\b", re.IGNORECASE)
_RATIO = re.compile(r"/ +(\$?[0-9.]+[a-z ]*/[0-9.]+)")
_RATIO_OF = re.compile(r"\s*[0-9]{1,2}/[0-9]{1,2}\s+(?:of|an?)\b[^-+*/×÷]*")
_OF_AFTER = re.compile(r"\bof\b.*", re.DOTALL)
_WHOLE = re.compile(
    r"\bround(?:ed|ing|(?:s|ed|ing)? (?:up|down|off|to|it))\b|\bnearest\b|approx|\babout\b"
    r"|\bwhole\b|\bfull\b|remainder|\band \$?\(?[0-9]+/[0-9]"
    r"|\bwith (?:a |\$)?(?:[0-9.]+ )?(?:\w+ )?(?:remaining|left)"
)
_MEASURE = re.compile(
    r"[0-9] ?(second|minute|hour|day|week|month|year|inch|foot|feet|yard|mile|ounce|pound|cup|pint"
    r"|quart|gallon|cent|dollar|gram|kilogram|kg|cm|km|meter)(?:e?s)?\b"
)
_MULTIPLE_BEFORE = re.compile(
    r"(?:half|third|quarter|twice|double|triple|times)(?: of)?(?: the)? \Z"
)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The values of two sides that are not equal by themselves: what stands around them decides."""

    left: Number
    right: Number


def agree(left: Side, right: Side) -> bool | Disagreement | None:
    """Whether two sides have one value; None if none can say.

    An equation that divides by 0 does not hold.
    """
    if left.cut or right.cut or not _same_letters(left, right):
        return None
    try:
        a, b = value_of(left.tokens), value_of(right.tokens)
    except NotArithmetic:
        return None
    except ZeroDivisionError:
        return False
    return True if a == b else Disagreement(a, b)


def agree_in(
    text: str, at: int, sides: tuple[Side, Side], values: Disagreement, is_approximate: bool
) -> bool | None:
    """Whether sides that disagree are equal after all, in the run that begins at `at` of `text`."""
    left, right = sides
    start, end = at + left.start, at + right.end
    whole = is_approximate or _says_whole(text, start, end)
    if _second_look(left, right, (values.left, values.right), whole, is_approximate):
        return True
    before = text[max(0, start - NEARBY) : start]
    return None if _is_excused(left, right) or _MULTIPLE_BEFORE.search(before) else False


def _same_letters(left: Side, right: Side) -> bool:
    """Whether letters are units: of all terms, of a factor, of the result, or cancelled."""
    if not left.letters and not right.letters:
        return True
    if not right.letters:
        return len(left.tokens) == 3 and left.tokens[1] == "/" and len(left.letters) == 2
    if len(right.letters) != 1 or not right.is_number:
        return False
    if not left.letters:
        return right.letters[0] in SHORT_UNITS
    terms = sum(token[0].isdigit() or token[0] == "." for token in left.tokens)
    is_sum = "*" not in left.tokens and "/" not in left.tokens
    is_complete = len(left.letters) == terms or not is_sum
    return is_complete and set(left.letters) == set(right.letters)


def _is_excused(left: Side, right: Side) -> bool:
    """Whether the `=` names or converts a thing: `20 years ago he was = 32-20`, `1/3 of Ann = 5`,
    `4 pounds - 6 ounces = 58 ounces`."""
    if left.is_number:
        return left.has_words or right.runs_on
    if _RATIO_OF.fullmatch(left.text):
        return True
    is_sum = "*" not in left.tokens and "/" not in left.tokens
    return is_sum and len(set(_MEASURE.findall(left.text))) > 1


def _second_look(
    left: Side, right: Side, values: tuple[Number, Number], may_be_whole: bool, is_approximate: bool
) -> bool:
    a, b = values
    pairs = [values, *_readings(left, right, a, b)]
    if any(x == y for x, y in pairs):
        return True
    if right.runs_on and not right.is_number and _value(right.tokens[:1]) == a:
        return True
    if any("." in token and len(token) > FLOAT_DIGITS for token in left.tokens + right.tokens):
        return abs(Fraction(a) - b) < abs(Fraction(b)) * FLOAT_PRECISION
    if not right.is_number:
        return False
    written = right.without_percent[-1]
    unit = _unit(written, may_be_whole, is_approximate)
    return unit > 0 and any(_is_rounded(x, y, unit, may_be_whole) for x, y in pairs)


def _readings(left: Side, right: Side, a: Number, b: Number) -> Iterator[tuple[Number, Number]]:
    """The sides' values where their signs are read in another way."""
    bare = _value(right.without_percent)
    if bare is not None and "%" in right.text:
        yield from ((a, bare), (a * 100, bare))
    if bare is not None and left.without_percent != left.tokens:
        yield from ((x, bare) for x in _percent_readings(left) if x is not None)
    if _CENTS.search(left.text) or _CENTS.search(right.text):
        yield from ((a * 100, b), (a, b * 100))
    if (x := _value(tokens_of(_RATIO.sub(r"/ (\1)", left.text)))) is not None:
        yield x, b
    if (y := _value(tokens_of(_OF_AFTER.sub("", right.text)))) is not None:
        yield a, y


def _percent_readings(side: Side) -> Iterator[Number | None]:
    """`100 - 40%` and `3/4 * 100%` as percentages, `50 + 10%` as a tenth more."""
    tokens = side.tokens
    is_sum = "*" not in tokens and "/" not in tokens
    if is_sum or all(token == "100%" for token in tokens if token[-1] == "%"):
        yield _value(side.without_percent)
    if len(tokens) > 2 and tokens[-1][-1] == "%" and tokens[-2] in "+-":
        yield _value(["(", *tokens[:-2], ")", "*", "(", "1", *tokens[-2:], ")"])


def _value(tokens: list[str]) -> Number | None:
    try:
        return value_of(tokens)
    except (NotArithmetic, ZeroDivisionError):
        return None


def _says_whole(text: str, start: int, end: int) -> bool:
    """Whether the line near an equation tells that its result is rounded or has a remainder."""
    before = text[max(0, start - NEARBY) : start].rpartition("\n")[2]
    after = text[end : end + NEARBY].partition("\n")[0]
    return _WHOLE.search(before + text[start:end] + after) is not None


def _unit(token: str, may_be_whole: bool, is_approximate: bool) -> Fraction:
    """The last place of a number that may be rounded; 0 for one that must be exact.

    An integer must be, unless words say otherwise: whole quotients are nearly always meant exactly,
    and if 49/2=24 passed, so would a slip in most divisions. Zeros at its end may stand for digits
    only after `≈`.
    """
    digits, _, decimals = token.replace(",", "").partition(".")
    if decimals:
        enough = len((digits + decimals).lstrip("0")) >= MIN_ROUNDED_DIGITS
        return Fraction(enough or may_be_whole, 10 ** len(decimals))
    if is_approximate:
        return Fraction(10 ** (len(digits) - len(digits.rstrip("0"))))
    return Fraction(may_be_whole)


def _is_rounded(value: Number, written: Number, unit: Fraction, either_way: bool) -> bool:
    """Whether a written number is `value` rounded or cut off, or also rounded up."""
    beyond = (value - written) * (1 if written >= 0 else -1)
    return beyond < unit and (beyond > -unit if either_way else beyond >= -unit / 2)
