"""Parts of answers compared as mathematics: by Math-Verify, with a second opinion from numbers.

Only workers import this. LaTeX is parsed by a grammar; Math-Verify's parser for plain expressions,
which goes through `eval`, is not used.
"""

from __future__ import annotations

import logging
import random
from functools import lru_cache
from typing import Any

from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify
from sympy import Basic, Float, Rational, Symbol  # type: ignore[import-untyped]
from sympy.core.relational import Relational  # type: ignore[import-untyped]
from sympy.logic.boolalg import Boolean  # type: ignore[import-untyped]
from sympy.sets.sets import Set  # type: ignore[import-untyped]

from ratchet.verifier.compare.numbers import decimal_places
from ratchet.verifier.rules import AnswerRules

POINTS = 6
DIGITS = 50
_TOLERANCE = Rational(1, 10**30)
_LARGEST = 10**12
"""Values above this could hide a difference behind their digits."""

# Units were dealt with before; Math-Verify would also drop the `m` of `2m`.
_SPELLING = NormalizationConfig(
    units=False, malformed_operators=True, nits=True, boxed="none", equations=False
)
_CONFIG = [LatexExtractionConfig(boxed_match_priority=-1, normalization_config=_SPELLING)]


class SwallowedErrors(logging.Handler):
    """Keeps the errors that Math-Verify logs at debug level and answers with "different"."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[BaseException] = []
        logger = logging.getLogger("math_verify")
        logger.handlers, logger.propagate = [self], False
        logger.setLevel(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's exception."""
        if record.exc_info and record.exc_info[1] is not None:
            self.seen.append(record.exc_info[1])


class Comparer:
    """Compares parts for one pair of answers, and remembers what the second method thought."""

    def __init__(self, policy: AnswerRules, errors: SwallowedErrors) -> None:
        self._policy = policy
        self._errors = errors
        self.disagreed = False

    def equal(self, one: str, other: str) -> bool:
        """Whether two LaTeX texts are equal as mathematics.

        Raises:
            MemoryError: if the process' memory ran out, also where Math-Verify swallowed that.
        """
        gold, given = _read(one), _read(other)
        if not gold or not given:
            return False
        numeric = numerically_equal(gold[0], given[0])
        if numeric is False and not _is_structured(gold[0], given[0]):
            return self._rounds(gold[0], one, given[0], other)
        symbolic = self._verified(gold, given)
        if numeric is None or numeric == symbolic:
            return symbolic
        self.disagreed = True
        return numeric

    def _verified(self, gold: list[Any], given: list[Any]) -> bool:
        self._errors.seen.clear()
        equal = bool(
            verify(gold, given, float_rounding=12, numeric_precision=DIGITS, timeout_seconds=None)
        )
        for error in self._errors.seen:
            if isinstance(error, (MemoryError, RecursionError)):
                raise error
        return equal

    def _rounds(self, gold: Any, one: str, given: Any, other: str) -> bool:
        """Whether one side is a long decimal that the other, exact side rounds to."""
        least = self._policy.decimal_places
        for written, exact in ((other, gold), (one, given)):
            places = decimal_places(written)
            if not least or places is None or places < least or _is_rational(exact):
                continue
            value = _value(exact)
            if value is not None and 2 * abs(value - Rational(written)) * 10**places <= 1:
                return True
        return False


@lru_cache(maxsize=4_000)
def _read(text: str) -> list[Any]:
    """What Math-Verify reads in a text, without the text itself; nothing where it fails."""
    parsed: list[Any] = parse(
        f"${text}$", _CONFIG, "no_fallback", parsing_timeout=None, raise_on_error=False
    )
    return [value for value in parsed if not isinstance(value, str)]


def _is_structured(*values: Any) -> bool:
    return any(isinstance(value, (Relational, Boolean, Set)) for value in values)


def _is_rational(value: Any) -> bool:
    return bool(getattr(value, "is_Rational", False) or isinstance(value, Float))


def _exact(expression: Any) -> Any:
    """An expression with the decimals in it as rationals."""
    floats = expression.atoms(Float)
    return expression.xreplace({f: Rational(str(f)) for f in floats}) if floats else expression


def _value(expression: Any) -> Any:
    """A constant's value to `DIGITS` digits; None where it has none."""
    if not isinstance(expression, Basic) or expression.free_symbols:
        return None
    try:
        value = _exact(expression).doit().evalf(DIGITS)
    except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError):
        return None
    return value if getattr(value, "is_number", False) and value.is_finite else None


def numerically_equal(one: Any, other: Any) -> bool | None:
    """Whether two expressions agree at random points; None where that can't be told.

    A second method beside the symbolic one, after Schwartz (https://doi.org/10.1145/322217.322225)
    and Zippel: different expressions agree at random points with probability next to none.
    """
    if not all(isinstance(side, Basic) for side in (one, other)) or _is_structured(one, other):
        return None
    names = one.free_symbols | other.free_symbols
    if any(not isinstance(name, Symbol) for name in names):
        return None
    return _agree_at(one, other, {}) if not names else _agree_everywhere(one, other, names)


def _agree_everywhere(one: Any, other: Any, names: set[Any]) -> bool | None:
    draws = random.Random(20_240_607)
    ordered = sorted(names, key=str)
    told = 0
    for _ in range(3 * POINTS):
        point = {name: Rational(draws.randint(2, 999), draws.randint(100, 499)) for name in ordered}
        agree = _agree_at(one, other, point)
        if agree is False:
            return False
        told += agree is True
        if told == POINTS:
            return True
    return None


def _agree_at(one: Any, other: Any, point: dict[Any, Any]) -> bool | None:
    values = []
    for side in (one, other):
        try:
            value = _exact(side).subs(point).doit().evalf(DIGITS)
        except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError):
            return None
        if not getattr(value, "is_number", False) or value.is_finite is not True:
            return None
        values.append(value)
    first, second = values
    scale = max(abs(first), abs(second))
    if abs(first - second) > scale * _TOLERANCE:
        return False
    return True if not point or scale < _LARGEST else None
