"""Values of written arithmetic: a tokenizer and a recursive-descent parser, exact, without `eval`.

What is read: integers, decimals, thousands separators, mixed numbers (`2 1/2`), percent,
`+ - * / ^`, `of`, brackets, and brackets written side by side (`5(2+3)`). Words are units and are
skipped. Every limit below bounds the work that one expression can cause.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

MAX_DIGITS = 30
MAX_TOKENS = 160
MAX_DEPTH = 20
MAX_EXPONENT = 12
MAX_BITS = 4096

Number = int | Fraction

NUMBER = r"(?:[0-9]++(?:,[0-9]{3}(?![0-9]))*+(?:\.[0-9]++)?+|\.[0-9]++)"
MIXED = r"[0-9]++ (?:and )?[0-9]++/[0-9]++"
TIMES = "×·⋅∗∙"
MINUS = "−–"
DIVIDED = "÷∕"
LETTER = r"[^\W\d_²³]"

AND_NUMBER = r"(?:[$(0-9]|\.[0-9])"
"""How what follows a sign begins."""

_TOKEN = re.compile(
    rf"(?:[ \t$]++|(?!of ){LETTER}{{2,}}+)++"
    rf"|({MIXED}|{NUMBER}(?:(?:…|\.\.\.)?+[ \t]*+%)?+|\*\*|[*^()\[\]%+{TIMES}{DIVIDED}]"
    rf"|[-{MINUS}](?!{LETTER})|/(?! ?{LETTER})|[xX](?=[ \t]*+{AND_NUMBER})|(?<=[0-9)\]])[²³]"
    rf"|(?<=[0-9)%] )of(?= (?:the )?{AND_NUMBER}))"
)
"""Words, or, as the group, what is read."""
_SPELLED = {"**": "^", "x": "*", "X": "*", "of": "*", "[": "(", "]": ")"}
_SPELLED |= dict.fromkeys(TIMES, "*") | dict.fromkeys(MINUS, "-") | dict.fromkeys(DIVIDED, "/")


class NotArithmetic(ValueError):
    """The tokens are no expression that can be evaluated."""


def tokens_of(text: str) -> list[str]:
    """Numbers, signs and brackets of an expression, each spelled in one way."""
    return [_SPELLED.get(token, token) for token in _TOKEN.findall(text) if token]


@lru_cache(maxsize=8192)
def number_of(token: str) -> Number:
    """Value of a number token; percent is a hundredth.

    Raises:
        NotArithmetic: if it is no number, has more than MAX_DIGITS digits, or is written as clock
            times are (`0730`).
    """
    if len(token) > 2 * MAX_DIGITS or not ("0" <= token[0] <= "9" or token[0] == "."):
        raise NotArithmetic(token)
    if token[-1] == "%":
        return divide(number_of(token[:-1].rstrip("… .\t")), 100)
    if " " in token:
        whole, _, part = token.replace("and ", "").partition(" ")
        top, _, bottom = part.partition("/")
        return whole_or_fraction(number_of(whole) + divide(number_of(top), number_of(bottom)))
    digits, _, decimals = token.replace(",", "").partition(".")
    if len(digits) + len(decimals) > MAX_DIGITS or (len(digits) > 2 and digits[0] == "0"):
        raise NotArithmetic(token)
    return whole_or_fraction(Fraction(int(digits + decimals), 10 ** len(decimals)))


def whole_or_fraction(value: Number) -> Number:
    """The value as an int where it is whole, which is faster to go on with."""
    return value.numerator if value.denominator == 1 else value


def divide(a: Number, b: Number) -> Number:
    """Exact quotient.

    Raises:
        ZeroDivisionError: if `b` is 0.
    """
    if type(a) is int and type(b) is int and b and a % b == 0:
        return a // b
    return whole_or_fraction(Fraction(a) / b)


_APPLY: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
}


def value_of(tokens: list[str]) -> Number:
    """Value of an expression's tokens.

    Raises:
        NotArithmetic: if they are no expression, or one beyond the limits of this module.
    """
    if len(tokens) == 1:
        return number_of(tokens[0])
    if len(tokens) == 3 and tokens[1] in _APPLY:
        return _APPLY[tokens[1]](number_of(tokens[0]), number_of(tokens[2]))
    if len(tokens) > MAX_TOKENS:
        raise NotArithmetic(f"{len(tokens)} tokens, more than {MAX_TOKENS}")
    parser = _Parser(tokens)
    value = parser.sum()
    if parser.token:
        raise NotArithmetic(f"{parser.token!r} is left over")
    return value


class _Parser:
    """Reads sums of products of powers; `token` is the next one, "" at the end."""

    __slots__ = ("depth", "rest", "token")

    def __init__(self, tokens: list[str]) -> None:
        self.rest = iter(tokens)
        self.depth = 0
        self.token = next(self.rest, "")

    def advance(self) -> str:
        token = self.token
        self.token = next(self.rest, "")
        return token

    def sum(self) -> Number:
        value = self.product()
        while (sign := self.token) == "+" or sign == "-":
            self.advance()
            value = value + self.product() if sign == "+" else value - self.product()
        return value

    def product(self) -> Number:
        value = self.power()
        while (sign := self.token) == "*" or sign == "/" or sign == "(":
            if sign != "(":
                self.advance()
            value = divide(value, self.power()) if sign == "/" else value * self.power()
        return value

    def power(self) -> Number:
        if (sign := self.token) == "-" or sign == "+":
            self.advance()
            return -self.power() if sign == "-" else self.power()
        base = self.atom()
        if (sign := self.token) not in ("^", "²", "³"):
            return base
        self.advance()
        return _raised(base, self.power() if sign == "^" else "²³".index(sign) + 2)

    def atom(self) -> Number:
        token = self.advance()
        if token != "(":
            if not token:
                raise NotArithmetic("a number is missing")
            return number_of(token)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotArithmetic(f"brackets deeper than {MAX_DEPTH}")
        value = self.sum()
        if self.advance() != ")":
            raise NotArithmetic("a bracket stays open")
        self.depth -= 1
        return value


def _raised(base: Number, exponent: Number) -> Number:
    if type(exponent) is not int or abs(exponent) > MAX_EXPONENT:
        raise NotArithmetic(f"exponent {exponent}")
    if abs(exponent) * (base.numerator.bit_length() + base.denominator.bit_length()) > MAX_BITS:
        raise NotArithmetic(f"a power of more than {MAX_BITS} bits")
    return divide(1, base**-exponent) if exponent < 0 else base**exponent
