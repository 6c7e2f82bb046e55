"""Answers compared in tiers, the cheapest first; only the last evaluates anything, elsewhere.

Text, normalised text, exact numbers, then part by part. What is left of the parts goes to `leaf`:
None while nothing may be evaluated (the verdict is then None too, where it hangs on such a part),
SymPy in a worker process.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ratchet.verifier.compare import numbers, units
from ratchet.verifier.compare.forms import Form, form_of, node_of
from ratchet.verifier.compare.limits import MAX_LENGTH
from ratchet.verifier.compare.normal import choice_of
from ratchet.verifier.compare.parts import Node, as_interval, describes_interval
from ratchet.verifier.compare.subjects import INEQUALITY, RELATION, without_subjects
from ratchet.verifier.rules import DEFAULT_RULES, AnswerRules

Tier = Literal["text", "normal", "number", "rounded", "parts", "symbolic"]
PlainReason = Literal["equal_string", "equal_number", "equal_rounded", "equal_parts", "different"]
Leaf = Callable[[str, str], bool | None]

MAX_PARTS_COMPARED = 60
"""Parts of a list or set that are compared with each other."""


@dataclass(frozen=True, slots=True)
class PlainComparison:
    """Whether two answers are equal, why, and the tier that said so."""

    reason: PlainReason
    tier: Tier


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\ud800-\udfff]")
_BASE = re.compile(r"[0-9A-Fa-f]+_(?:\d|\{\d+\})")
_RATIO = re.compile(r"(-?[\d.]+(?:/\d+)?):(-?[\d.]+(?:/\d+)?)")


def compare_plain(
    reference: str, answer: str, policy: AnswerRules = DEFAULT_RULES
) -> PlainComparison | None:
    """The verdict that needs no evaluation, or None where only symbolic comparison can tell."""
    if reference == answer and reference:
        return PlainComparison("equal_string", "text")
    one, other = form_of(reference), form_of(answer)
    found = _compare_forms(one, other, policy)
    if found is not None:
        return found
    if _UNPRINTABLE.search(answer) and not _UNPRINTABLE.search(reference):
        return PlainComparison("different", "text")
    if max(len(reference), len(answer)) > MAX_LENGTH:
        return None
    equal = compare_nodes(node_of(one), node_of(other), policy, _undecided)
    if equal is None:
        return None
    return (
        PlainComparison("equal_parts", "parts") if equal else PlainComparison("different", "parts")
    )


def compare_fully(reference: str, answer: str, policy: AnswerRules, leaf: Leaf) -> bool:
    """Whether two answers are equal; `leaf` decides on the parts that need evaluation."""
    one, other = form_of(reference), form_of(answer)
    return bool(compare_nodes(node_of(one), node_of(other), policy, leaf))


def _undecided(_one: str, _other: str) -> bool | None:
    return None


def _compare_forms(one: Form, other: Form, policy: AnswerRules) -> PlainComparison | None:
    if not units.units_agree(one.unit, other.unit, required=policy.units == "required"):
        return PlainComparison("different", "normal")
    if not (one.text and other.text):
        return PlainComparison("different", "text")
    if one.text == other.text:
        return PlainComparison("equal_string", "normal")
    if one.number is not None and other.number is not None:
        return _compare_numbers(one, other, policy)
    if one.is_literal and other.is_literal:
        return PlainComparison("different", "number")
    if _is_comma_decimal(one, other) or _is_comma_decimal(other, one):
        return PlainComparison("equal_number", "number")
    if one.is_words or other.is_words or (len(one.text) == 1 and choice_of(other.text)):
        return _compare_words(one.text, other.text)
    return None


def _is_comma_decimal(one: Form, other: Form) -> bool:
    """Whether `one` is `3,14` to the other's 3.14."""
    if "," not in one.text or other.number is None or "." not in other.text:
        return False
    return numbers.comma_decimal(one.text) == other.number


def _compare_words(one: str, other: str) -> PlainComparison:
    same = _word_key(one) == _word_key(other)
    is_choice = len(one) == 1 and one.isalpha() and choice_of(other) == one
    return PlainComparison("equal_string" if same or is_choice else "different", "normal")


def _word_key(text: str) -> str:
    bare = re.sub(r"[^a-z0-9+\-*/^=<>]+", " ", text.casefold()).strip()
    return re.sub(r"^(?:the|a|an) ", "", bare)


def _compare_numbers(one: Form, other: Form, policy: AnswerRules) -> PlainComparison:
    assert one.number is not None
    assert other.number is not None
    if one.number == other.number:
        if policy.fractions == "simplest" and not numbers.is_simplest(other.text):
            return PlainComparison("different", "number")
        return PlainComparison("equal_number", "number")
    if policy.percent == "fraction" and _equal_as_percent(one, other):
        return PlainComparison("equal_number", "number")
    if _is_rounded(one, other, policy) or _is_rounded(other, one, policy):
        return PlainComparison("equal_rounded", "rounded")
    return PlainComparison("different", "number")


def _equal_as_percent(one: Form, other: Form) -> bool:
    assert one.number is not None
    assert other.number is not None
    first = one.number / 100 if units.is_percent(one.unit) else one.number
    second = other.number / 100 if units.is_percent(other.unit) else other.number
    return first == second


def _is_rounded(exact: Form, written: Form, policy: AnswerRules) -> bool:
    places = numbers.decimal_places(written.text)
    if not policy.decimal_places or places is None or places < policy.decimal_places:
        return False
    assert exact.number is not None
    assert written.number is not None
    return numbers.rounds_to(exact.number, written.number, places)


def compare_nodes(one: Node, other: Node, policy: AnswerRules, leaf: Leaf) -> bool | None:
    """Whether two answers are equal part by part; None where it hangs on what `leaf` left open."""
    if one.text == other.text:
        return True
    one, other = without_subjects(one, other)
    if any(describes_interval(node) for node in (one, other)):
        one, other = as_interval(one), as_interval(other)
    if one.kind == "leaf" and other.kind == "leaf":
        return _compare_leaves(one.text, other.text, policy, leaf)
    return _compare_kinds(*_split_thousands(one, other), policy, leaf)


def _compare_kinds(one: Node, other: Node, policy: AnswerRules, leaf: Leaf) -> bool | None:
    """`compare_nodes` for two of which at least one has parts."""
    match one.kind, other.kind:
        case ("list" | "set", "list" | "set"):
            ordered = policy.list_order == "same" and "set" not in (one.kind, other.kind)
            compare = _in_order if ordered else _in_any_order
            return compare(_distinct(one), _distinct(other), policy, leaf)
        case ("union", "union"):
            return _in_any_order(_distinct(one), _distinct(other), policy, leaf)
        case ("tuple", "tuple") | ("matrix", "matrix"):
            return one.marks == other.marks and _in_order(one.parts, other.parts, policy, leaf)
        case ("tuple", "list"):
            return one.marks == "()" and _in_order(one.parts, other.parts, policy, leaf)
        case ("list" | "set", "leaf") if _is_single(one):
            return _all_equal(one.parts, other, policy, leaf)
        case ("leaf", "list" | "set") if _is_single(other):
            return _all_equal(other.parts, one, policy, leaf)
        case _:
            return leaf(one.text, other.text) if _may_evaluate_to(one, other) else False


def _is_single(node: Node) -> bool:
    """Whether a list or set may be one answer: said in several spellings, or alone in its set."""
    return node.kind == "list" or len(node.parts) == 1


def _may_evaluate_to(one: Node, other: Node) -> bool:
    """Whether two unlike nodes could still be equal, as a sum of matrices and a matrix."""
    single = one if one.kind == "leaf" else other if other.kind == "leaf" else None
    if single is None:
        return {one.kind, other.kind} == {"union", "tuple"}
    if INEQUALITY.search(single.text):
        return True
    structured = other if single is one else one
    if structured.kind == "matrix":
        return r"\begin" in single.text
    return structured.kind != "list" and bool(
        re.search(r"\\(?:mathbb|cup|cap|setminus|in)", single.text)
    )


def _all_equal(
    parts: tuple[Node, ...], single: Node, policy: AnswerRules, leaf: Leaf
) -> bool | None:
    """Whether a list says one and the same answer in several spellings."""
    if len(parts) > MAX_PARTS_COMPARED:
        return False
    return _in_order(parts, (single,) * len(parts), policy, leaf)


def _in_order(
    one: tuple[Node, ...], other: tuple[Node, ...], policy: AnswerRules, leaf: Leaf
) -> bool | None:
    if len(one) != len(other):
        return False
    open_pairs = []
    for first, second in zip(one, other, strict=True):
        equal = compare_nodes(first, second, policy, _undecided)
        if equal is False:
            return False
        if equal is None:
            open_pairs.append((first, second))
    for first, second in open_pairs:
        if not (equal := compare_nodes(first, second, policy, leaf)):
            return equal
    return True


def _in_any_order(
    one: tuple[Node, ...], other: tuple[Node, ...], policy: AnswerRules, leaf: Leaf
) -> bool | None:
    """Whether the parts can be paired; equality is transitive, so the first partner will do."""
    if len(one) != len(other):
        return False
    texts = {part.text for part in one} & {part.text for part in other}
    left = [part for part in one if part.text not in texts]
    right = [part for part in other if part.text not in texts]
    if len(left) > MAX_PARTS_COMPARED:
        return False
    for compare in (_undecided, leaf):
        left, right = _unpaired(left, right, policy, compare)
        if len(left) != len(right):
            return False
    if not left:
        return True
    if leaf is not _undecided:
        return False
    hopeless = any(
        all(compare_nodes(first, second, policy, leaf) is False for second in right)
        for first in left
    )
    return False if hopeless else None


def _unpaired(
    left: list[Node], right: list[Node], policy: AnswerRules, leaf: Leaf
) -> tuple[list[Node], list[Node]]:
    unpaired, free = [], list(right)
    for first in left:
        for at, second in enumerate(free):
            if compare_nodes(first, second, policy, leaf):
                del free[at]
                break
        else:
            unpaired.append(first)
    return unpaired, free


def _distinct(node: Node) -> tuple[Node, ...]:
    """The parts without repetitions, each without a subject that all or the first one name."""
    return tuple({part.text: part for part in node.parts}.values())


def _split_thousands(one: Node, other: Node) -> tuple[Node, Node]:
    """`100,200` against a list is one too, rather than a hundred thousand and two hundred."""
    if one.kind in ("list", "set") and other.kind == "leaf":
        return one, _as_list(other)
    if other.kind in ("list", "set") and one.kind == "leaf":
        return _as_list(one), other
    return one, other


def _as_list(node: Node) -> Node:
    if numbers.THOUSANDS.fullmatch(node.text):
        return Node("list", node.text, tuple(Node("leaf", p) for p in node.text.split(",")))
    return node


def _compare_leaves(one: str, other: str, policy: AnswerRules, leaf: Leaf) -> bool | None:
    first, second = form_of(one), form_of(other)
    found = _compare_forms(first, second, policy)
    if found is not None:
        return found.reason != "different"
    if (mixed := _odd_numbers(first, second, policy)) is not None:
        return mixed
    if _cannot_be_equal(first.text, second.text):
        return False
    return leaf(first.text, second.text)


def _odd_numbers(one: Form, other: Form, policy: AnswerRules) -> bool | None:
    """Ratios, times and numbers in other bases; None where neither side is one."""
    if _BASE.fullmatch(one.text) or _BASE.fullmatch(other.text):
        return False
    ratios = [_RATIO.fullmatch(form.text) for form in (one, other)]
    if any(ratios):
        return policy.ratio == "quotient" and _quotient(one) == _quotient(other)
    return None


def _quotient(form: Form) -> Fraction | None:
    match = _RATIO.fullmatch(form.text)
    if match is None:
        return form.number
    top, bottom = numbers.exact_number(match[1]), numbers.exact_number(match[2])
    return None if top is None or not bottom else top / bottom


def _cannot_be_equal(one: str, other: str) -> bool:
    """An equation or inequality against a value, and plain letters against a number."""
    relations = [RELATION.search(text) is not None for text in (one, other)]
    inequality = [INEQUALITY.search(text) is not None for text in (one, other)]
    return relations[0] != relations[1] and not any(inequality)
