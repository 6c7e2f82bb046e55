"""What must not be evaluated: sizes are judged from the text, before anything computes them."""

from __future__ import annotations

import re

MAX_LENGTH = 2_000
"""Characters of an answer that symbolic comparison still reads."""
MAX_DIGITS = 1_000
"""Digits of a number that is still made a Fraction."""
MAX_DEPTH = 60
"""Nested braces and brackets that symbolic comparison still reads."""
MAX_POWER = 10_000
"""Exponents, arguments of factorials and binomials, and digits of powers up to here."""
MAX_TERMS = 200
"""Terms of a sum or product that are still added up."""
_HUGE = "8888888888888"
_ROUNDS = 40
_SMALL_FACTORIALS = (1, 1, 2, 6, 24, 120, 720, 5040, 40320)

_POWER = re.compile(r"(\d+(?:\.\d+)?)\s*\^\s*(?:\{\s*(\d+)\s*\}|(\d+))")
_GROUP = re.compile(r"[({]\s*(\d+)\s*[)}](?=\s*[!^])")
_FACTORIAL = re.compile(r"(\d+)\s*!+")
_BIG_EXPONENT = re.compile(r"\^\s*[{(]?\s*[-+]?\s*\d{5,}")
_BIG_ARGUMENT = re.compile(
    r"(?:\\[dt]?binom|\\choose|choose|[CP]\()[^a-zA-Z\\]{0,40}\d{5,}|\d{5,}[\s})]*(?:!|\\choose)"
)
_OPERATOR = re.compile(r"\\(?:sum|prod|int|lim|bigcup|bigcap)(?![A-Za-z])")
_LIMIT = re.compile(r"\\(?:sum|prod)\s*(?:\\limits)?\s*(?:_\{[^{}]*\}|_\w)?\s*\^\s*\{?\s*(\d{3,})")
_LONG_DIGITS = re.compile(rf"\d{{{MAX_DIGITS + 1}}}")
_NESTED_ROOT = re.compile(r"(?:\\frac|\\sqrt)")


def refusal(text: str) -> str | None:
    """Why `text` must not be evaluated, or None where it may be. Linear in its length."""
    if len(text) > MAX_LENGTH:
        return f"{len(text)} characters (limit {MAX_LENGTH})"
    if _LONG_DIGITS.search(text):
        return f"a number of over {MAX_DIGITS} digits"
    if _depth(text) > MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH}"
    if "^" in text or "!" in text or "\\" in text or "choose" in text:
        return _size_refusal(text)
    return None


def _size_refusal(text: str) -> str | None:
    if (limit := _LIMIT.search(text)) and int(limit[1]) > MAX_TERMS:
        return f"a sum or product of over {MAX_TERMS} terms"
    if len(_OPERATOR.findall(text)) > 4:
        return "over 4 sums, products or integrals"
    if len(_NESTED_ROOT.findall(text)) > 100:
        return "over 100 fractions and roots"
    reduced = _reduced(text)
    if _BIG_EXPONENT.search(reduced) or _HUGE in reduced:
        return f"a power with an exponent over {MAX_POWER}, or a tower of powers"
    if _BIG_ARGUMENT.search(reduced):
        return f"a factorial or binomial of a number over {MAX_POWER}"
    return None


def _reduced(text: str) -> str:
    """`text` with numeric powers and factorials inside it worked out, as far as they are small."""
    for _ in range(_ROUNDS):
        if _BIG_EXPONENT.search(text) or _HUGE in text:
            return text
        shorter = _GROUP.sub(r"\1", text)
        shorter = _FACTORIAL.sub(_factorial, _inner_powers(shorter))
        if shorter == text:
            break
        text = shorter
    return text


def _inner_powers(text: str) -> str:
    """The powers that no further `^` follows, worked out: the innermost of each tower."""
    return _POWER.sub(
        lambda m: m.group() if text[m.end() : m.end() + 2].lstrip()[:1] == "^" else _power(m), text
    )


def _power(match: re.Match[str]) -> str:
    base, exponent = match[1], match[2] or match[3]
    if len(exponent) > 5 or len(base) > 20:
        return _HUGE
    digits = len(base.partition(".")[0]) * int(exponent)
    if digits > 4 * MAX_POWER:
        return _HUGE
    return str(int(float(base)) ** int(exponent)) if digits <= 12 else "9" * 12


def _factorial(match: re.Match[str]) -> str:
    if len(match[1]) > 5 or int(match[1]) > MAX_POWER:
        return _HUGE
    return str(_SMALL_FACTORIALS[min(int(match[1]), 8)])


def _depth(text: str) -> int:
    depth = deepest = 0
    for symbol in text:
        if symbol in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif symbol in "})]":
            depth -= 1
    return deepest
