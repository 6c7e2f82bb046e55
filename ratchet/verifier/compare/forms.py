"""An answer's comparable forms: its normal text, its unit, its exact number, its parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ratchet.verifier.compare import numbers, units
from ratchet.verifier.compare.calculations import result_of
from ratchet.verifier.compare.limits import MAX_LENGTH
from ratchet.verifier.compare.normal import normalise
from ratchet.verifier.compare.parts import Node, parse

_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{3,}")
_MATH_WORDS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "min", "max", "mod", "gcd", "lcm"}
    | {"and", "pmatrix", "bmatrix", "array", "begin", "end", "matrix", "sqrt", "arcsin", "arctan"}
    | {"arccos", "vmatrix", "choose", "det", "lim", "sinh", "cosh", "tanh", "smallmatrix", "ccc"}
    | {"aligned", "cases", "infty", "inf"}
)
_GLUED_OR = re.compile(r"(?<=[\d)}])\s*(?:and|or)(?=[^a-z])")
_SPACE_BEFORE_SYMBOL = re.compile(r"(?<=\d) (?=[A-Za-z](?![A-Za-z]))")


@dataclass(frozen=True, slots=True)
class Form:
    """An answer's comparable forms. `number` is None where it is no plain number."""

    text: str
    unit: str
    number: Fraction | None
    is_literal: bool
    """Digits only, though perhaps too many of them to be made a number."""
    is_words: bool


def form_of(answer: str) -> Form:
    """The normal forms of one answer, in time linear in its length; nothing is evaluated."""
    return _short_form(answer) if len(answer) <= MAX_LENGTH else _long_form(answer)


def _long_form(answer: str) -> Form:
    text = answer.strip()
    literal = len(text) < 2_000_000 and text.replace(" ", "").replace(",", "").isdigit()
    return Form(text, "", None, is_literal=literal, is_words=False)


@lru_cache(maxsize=20_000)
def _short_form(answer: str) -> Form:
    text, unit = units.split_text_unit(result_of(answer.strip()))
    bare, currency = units.split_currency(_inside_dollars(text))
    text = normalise(bare if currency else text)
    if not unit:
        text, unit = units.split_word_unit(text)
    number = numbers.exact_number(text)
    if currency and number is not None:
        unit = f"{currency} {unit}".strip() if unit != currency else unit
    literal = bool(numbers.PLAIN.fullmatch(text))
    text = _SPACE_BEFORE_SYMBOL.sub("", text)
    if literal:
        text = text.replace(" ", "")
    return Form(text, unit, number, literal, is_words=number is None and _is_words(text))


def _inside_dollars(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if len(text) > 2 and text[0] == "$" and text[-1] == "$" else text


def _is_words(text: str) -> bool:
    """Whether a text holds words, which are never products of symbols."""
    bare = _GLUED_OR.sub(",", text) if "or" in text or "and" in text else text
    return any(
        word.casefold() not in _MATH_WORDS and not word.isupper() for word in _WORD.findall(bare)
    ) or text.casefold() in ("no", "none", "yes")


def node_of(form: Form) -> Node:
    """The parts of a form."""
    if len(form.text) > MAX_LENGTH:
        return Node("leaf", form.text)
    return parse(form.text, form.is_words or form.number is not None)


def parts_of(answer: str) -> Iterator[str]:
    """The texts of the parts of a list or set, or the one text of anything else."""
    node = node_of(form_of(answer))
    yield from (part.text for part in node.parts) if node.kind in ("list", "set") else (node.text,)
