"""An answer that is a whole calculation, and what it comes to."""

from __future__ import annotations

import re

from ratchet.verifier.compare.normal import unwrap

_TEXT = re.compile(r"\\(?:text|mbox|mathrm)\s*\{([^{}]*)\}")
_STYLE = re.compile(r"\\(?:[dt]?frac|cdot|times|div|left|right|sqrt|quad|[ ,;!$%])|\bof\b|[$€£%{}]")
_TIMES = re.compile(r"(?<=[\d\s)])x(?=\s*[\d($])")
_QUANTITY = re.compile(r"\d[\d,.]*(?:\s*[A-Za-z]{2,}(?:[ /]+[A-Za-z]{2,}){0,3}(?![A-Za-z]))?")
_CALCULATION = re.compile(r"[-+*/×÷·^().\s1]*1[).\s]*")
_TITLE = re.compile(r"(?!not\b)[A-Za-z]{3,}(?:\s+[A-Za-z']+){0,5}\s*")
_NOT_EQUAL = re.compile(r"[<>!≠≈≤≥]|\\(?:ne|le|ge|approx|equiv|sim)")


def result_of(answer: str) -> str:
    """What a calculation comes to: `66 issues` of `Total = 42 issues + 24 issues = 66 issues`.

    Any other text as it is, equations with an unknown among them.
    """
    if "=" not in answer or _NOT_EQUAL.search(answer):
        return answer
    first, *members = unwrap(answer).split("=")
    title = _TEXT.sub(r" \1 ", first).strip("$ ")
    steps = members if _TITLE.fullmatch(title) else [first, *members]
    return members[-1].strip() if all(map(_is_calculation, steps)) else answer


def _is_calculation(member: str) -> bool:
    """Whether a text is numbers, their units, and operations on them."""
    bare = _TIMES.sub("*", _STYLE.sub(" ", _TEXT.sub(r" \1 ", member)))
    return _CALCULATION.fullmatch(_QUANTITY.sub("1", bare)) is not None
