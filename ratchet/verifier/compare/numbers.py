"""Exact numbers: what a normalised text spells as a rational, without any float."""

from __future__ import annotations

import re
from fractions import Fraction
from math import gcd

from ratchet.verifier.compare.limits import MAX_DIGITS

MAX_EXPONENT = 1_000
"""Powers of ten, in scientific notation, that are still written out."""

DIGITS = r"(?:[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,2}(?: \d{3})+|\d+)"
DECIMAL = rf"(?:{DIGITS}(?:\.\d*)?|\.\d+)"
_SIGN = r"[-+]?"
PLAIN = re.compile(rf"({_SIGN})({DECIMAL})")
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
_RATIO = re.compile(rf"({_SIGN})\(?({_SIGN}{DECIMAL})/\(?({_SIGN}{DECIMAL})\)?")
_FRAC = re.compile(rf"({_SIGN})\\frac\{{({_SIGN}{DECIMAL})\}}\{{({_SIGN}{DECIMAL})\}}")
_MIXED = re.compile(rf"({_SIGN})(\d+)\s?\\frac\{{(\d+)\}}\{{(\d+)\}}|({_SIGN})(\d+)\s(\d+)/(\d+)")
_SCIENTIFIC = re.compile(
    rf"(?:({_SIGN}{DECIMAL})(?:[eE]|(?:\\times|\\cdot|\*|x )10\^)|({_SIGN})10\^)"
    rf"(?:\{{({_SIGN}\d+)\}}|({_SIGN}\d+))"
)
_SIGNED_BRACKET = re.compile(r"([-+])\(([^(),]*)\)")
_LONG_DIGITS = re.compile(rf"\d{{{MAX_DIGITS + 1}}}")
_COMMA_DECIMAL = re.compile(r"([-+]?)(?:(\d+),(\d{2}|\d{4,})|(0),(\d+))")


def exact_number(text: str) -> Fraction | None:
    """The rational number that a normalised text spells, or None where it is no plain number.

    Integers, decimals, `a/b`, `\\frac{a}{b}`, mixed numbers, scientific notation, `-(3)`.
    A number of more than `MAX_DIGITS` digits is refused before it is converted.
    """
    if not text or len(text) > 2 * MAX_DIGITS or _LONG_DIGITS.search(text):
        return None
    if match := PLAIN.fullmatch(text):
        return _signed(match[1], _fraction(match[2]))
    if text[-1] not in "0123456789.)}":
        return None
    if match := _RATIO.fullmatch(text) or _FRAC.fullmatch(text):
        return _signed(match[1], _quotient(_fraction(match[2]), _fraction(match[3])))
    if match := _MIXED.fullmatch(text):
        sign, whole, top, bottom = match.groups()[:4] if match[2] else match.groups()[4:]
        part = _quotient(_fraction(top), _fraction(bottom))
        return None if part is None else _signed(sign, _fraction(whole) + part)
    if match := _SCIENTIFIC.fullmatch(text):
        mantissa = _fraction(match[1] or f"{match[2]}1")
        return _scaled(mantissa, match[3] or match[4])
    if match := _SIGNED_BRACKET.fullmatch(text):
        return _signed(match[1], exact_number(match[2]))
    return None


def comma_decimal(text: str) -> Fraction | None:
    """The number that `3,14` or `0,5` is where the comma marks the decimals; None elsewhere.

    `1,2` and `1,234` are not read so: they are a list, and a thousand.
    """
    match = _COMMA_DECIMAL.fullmatch(text)
    if match is None:
        return None
    whole, part = match[2] or match[4], match[3] or match[5]
    return exact_number(f"{match[1]}{whole}.{part}")


def decimal_places(text: str) -> int | None:
    """Digits behind the point of a plain decimal; None where `text` is none, or has no point."""
    if "." not in text:
        return None
    match = PLAIN.fullmatch(text)
    return len(match[2].partition(".")[2]) if match else None


def rounds_to(value: Fraction, written: Fraction, places: int) -> bool:
    """Whether `value`, which no decimal can spell, is `written` at that many places.

    Half a unit of the last place either way, so that a last digit cut off instead of rounded is
    wrong.
    """
    return not _is_decimal(value) and abs(value - written) * 10**places * 2 <= 1


def is_simplest(text: str) -> bool:
    """False for a fraction that can still be reduced, and for one over 1."""
    match = _RATIO.fullmatch(text) or _FRAC.fullmatch(text)
    if match is None or "." in text:
        return True
    top, bottom = (abs(int(_fraction(match[i]))) for i in (2, 3))
    return bottom != 1 and gcd(top, bottom) == 1


def _is_decimal(value: Fraction) -> bool:
    bottom = value.denominator
    for prime in (2, 5):
        while bottom % prime == 0:
            bottom //= prime
    return bottom == 1


def _fraction(decimal: str) -> Fraction:
    sign = -1 if decimal.startswith("-") else 1
    whole, _, part = decimal.lstrip("+-").replace(",", "").replace(" ", "").partition(".")
    return Fraction(sign * int((whole + part) or "0"), 10 ** len(part))


def _quotient(top: Fraction, bottom: Fraction) -> Fraction | None:
    return top / bottom if bottom else None


def _signed(sign: str | None, value: Fraction | None) -> Fraction | None:
    return -value if sign == "-" and value is not None else value


def _scaled(value: Fraction, exponent: str) -> Fraction | None:
    if len(exponent) > 6 or abs(int(exponent)) > MAX_EXPONENT:
        return None
    return value * Fraction(10) ** int(exponent)
