"""Answers compared in tiers, the cheapest first; only the last evaluates anything, elsewhere.

Text, normalised text, exact numbers, then part by part. What is left of the parts goes to `leaf`:
None while nothing may be evaluated (the verdict is then None too, where it hangs on such a part),
SymPy in a worker process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from ratchet import answer_numbers as numbers
from ratchet import answer_units as units
from ratchet.answer_limits import MAX_LENGTH
from ratchet.answer_normal import choice_of, normalise
from ratchet.answer_parts import Node, as_interval, describes_interval, parse, split_top
from ratchet.answer_policy import DEFAULT_POLICY, Policy

Tier = Literal["text", "normal", "number", "rounded", "parts", "symbolic"]
PlainReason = Literal["equal_string", "equal_number", "equal_rounded", "equal_parts", "different"]
Leaf = Callable[[str, str], bool | None]

MAX_PARTS_COMPARED = 60
"""Parts of a list or set that are compared with each other."""


@dataclass(frozen=True, slots=True)
class Form:
    """An answer's comparable forms. `number` is None where it is no plain number."""

    text: str
    unit: str
    number: Fraction | None
    is_literal: bool
    """Digits only, though perhaps too many of them to be made a number."""
    is_words: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether two answers are equal, why, and the tier that said so."""

    reason: PlainReason
    tier: Tier


_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{3,}")
_MATH_WORDS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "min", "max", "mod", "gcd", "lcm"}
    | {"and", "pmatrix", "bmatrix", "array", "begin", "end", "matrix", "sqrt", "arcsin", "arctan"}
    | {"arccos", "vmatrix", "choose", "det", "lim", "sinh", "cosh", "tanh", "smallmatrix", "ccc"}
    | {"aligned", "cases", "infty", "inf"}
)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\ud800-\udfff]")
_GLUED_OR = re.compile(r"(?<=[\d)}])\s*(?:and|or)(?=[^a-z])")
_SPACE_BEFORE_SYMBOL = re.compile(r"(?<=\d) (?=[A-Za-z](?![A-Za-z]))")
_ANGLE = r"(?:\\(?:angle|triangle|overline|overrightarrow|vec|widehat)\{?)?"
_NAME = (
    rf"(?:{_ANGLE}[A-Za-z]{{1,5}}\}}?'?(?:_(?:\w|\{{[^{{}}=]*\}}))?(?:\([A-Za-z0-9](?:,[A-Za-z])*\))?|"
    r"\|[A-Za-z]{1,3}\||\\(?:alpha|beta|gamma|theta|phi|lambda|mu|omega|pi|ell|Delta)(?:_\w)?)"
)
_NAMES = (
    rf"(?:{_NAME}|\({_NAME}(?:,{_NAME})+\)|\\frac\{{[A-Z]{{1,3}}\}}\{{[A-Z]{{1,3}}\}}"
    rf"|{_NAME}[:/]{_NAME})"
)
_SUBJECT = re.compile(rf"({_NAMES})(?:=|\\approx(?![A-Za-z]))")
_RELATION = re.compile(r"[=<>]|\\(?:in|le|ge|ne|approx|equiv)(?![A-Za-z])")
_INEQUALITY = re.compile(r"[<>]|\\(?:le|ge|ne)(?![A-Za-z])")
_MEMBER = re.compile(r"[A-Za-z]\\in(?![A-Za-z])")
_APPROX = re.compile(r"\\(?:approx|simeq|sim)(?![A-Za-z])")
_BASE = re.compile(r"[0-9A-Fa-f]+_(?:\d|\{\d+\})")
_RATIO = re.compile(r"(-?[\d.]+(?:/\d+)?):(-?[\d.]+(?:/\d+)?)")


def compare_plain(reference: str, answer: str, policy: Policy = DEFAULT_POLICY) -> Verdict | None:
    """The verdict that needs no evaluation, or None where only symbolic comparison can tell."""
    if reference == answer and reference:
        return Verdict("equal_string", "text")
    one, other = form_of(reference), form_of(answer)
    found = _compare_forms(one, other, policy)
    if found is not None:
        return found
    if _UNPRINTABLE.search(answer) and not _UNPRINTABLE.search(reference):
        return Verdict("different", "text")
    if max(len(reference), len(answer)) > MAX_LENGTH:
        return None
    equal = compare_nodes(node_of(one), node_of(other), policy, _undecided)
    if equal is None:
        return None
    return Verdict("equal_parts", "parts") if equal else Verdict("different", "parts")


def compare_fully(reference: str, answer: str, policy: Policy, leaf: Leaf) -> bool:
    """Whether two answers are equal; `leaf` decides on the parts that need evaluation."""
    one, other = form_of(reference), form_of(answer)
    return bool(compare_nodes(node_of(one), node_of(other), policy, leaf))


def _undecided(_one: str, _other: str) -> bool | None:
    return None


def _compare_forms(one: Form, other: Form, policy: Policy) -> Verdict | None:
    if not units.units_agree(one.unit, other.unit, required=policy.units == "required"):
        return Verdict("different", "normal")
    if not (one.text and other.text):
        return Verdict("different", "text")
    if one.text == other.text:
        return Verdict("equal_string", "normal")
    if one.number is not None and other.number is not None:
        return _compare_numbers(one, other, policy)
    if one.is_literal and other.is_literal:
        return Verdict("different", "number")
    if _is_comma_decimal(one, other) or _is_comma_decimal(other, one):
        return Verdict("equal_number", "number")
    if one.is_words or other.is_words or (len(one.text) == 1 and choice_of(other.text)):
        return _compare_words(one.text, other.text)
    return None


def _is_comma_decimal(one: Form, other: Form) -> bool:
    """Whether `one` is `3,14` to the other's 3.14."""
    if "," not in one.text or other.number is None or "." not in other.text:
        return False
    return numbers.comma_decimal(one.text) == other.number


def _compare_words(one: str, other: str) -> Verdict:
    same = _word_key(one) == _word_key(other)
    is_choice = len(one) == 1 and one.isalpha() and choice_of(other) == one
    return Verdict("equal_string" if same or is_choice else "different", "normal")


def _word_key(text: str) -> str:
    bare = re.sub(r"[^a-z0-9+\-*/^=<>]+", " ", text.casefold()).strip()
    return re.sub(r"^(?:the|a|an) ", "", bare)


def _compare_numbers(one: Form, other: Form, policy: Policy) -> Verdict:
    assert one.number is not None
    assert other.number is not None
    if one.number == other.number:
        if policy.fractions == "simplest" and not numbers.is_simplest(other.text):
            return Verdict("different", "number")
        return Verdict("equal_number", "number")
    if policy.percent == "fraction" and _equal_as_percent(one, other):
        return Verdict("equal_number", "number")
    if _is_rounded(one, other, policy) or _is_rounded(other, one, policy):
        return Verdict("equal_rounded", "rounded")
    return Verdict("different", "number")


def _equal_as_percent(one: Form, other: Form) -> bool:
    assert one.number is not None
    assert other.number is not None
    first = one.number / 100 if units.is_percent(one.unit) else one.number
    second = other.number / 100 if units.is_percent(other.unit) else other.number
    return first == second


def _is_rounded(exact: Form, written: Form, policy: Policy) -> bool:
    places = numbers.decimal_places(written.text)
    if not policy.decimal_places or places is None or places < policy.decimal_places:
        return False
    assert exact.number is not None
    assert written.number is not None
    return numbers.rounds_to(exact.number, written.number, places)


def form_of(answer: str) -> Form:
    """The normal forms of one answer, in time linear in its length; nothing is evaluated."""
    return _short_form(answer) if len(answer) <= MAX_LENGTH else _long_form(answer)


def _long_form(answer: str) -> Form:
    text = answer.strip()
    literal = len(text) < 2_000_000 and text.replace(" ", "").replace(",", "").isdigit()
    return Form(text, "", None, is_literal=literal, is_words=False)


@lru_cache(maxsize=20_000)
def _short_form(answer: str) -> Form:
    text, unit = units.split_text_unit(answer.strip())
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


def compare_nodes(one: Node, other: Node, policy: Policy, leaf: Leaf) -> bool | None:
    """Whether two answers are equal part by part; None where it hangs on what `leaf` left open."""
    if one.text == other.text:
        return True
    one, other = _without_subjects(one, other)
    if any(describes_interval(node) for node in (one, other)):
        one, other = as_interval(one), as_interval(other)
    if one.kind == "leaf" and other.kind == "leaf":
        return _compare_leaves(one.text, other.text, policy, leaf)
    return _compare_kinds(*_split_thousands(one, other), policy, leaf)


def _compare_kinds(one: Node, other: Node, policy: Policy, leaf: Leaf) -> bool | None:
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
    if _INEQUALITY.search(single.text):
        return True
    structured = other if single is one else one
    if structured.kind == "matrix":
        return r"\begin" in single.text
    return structured.kind != "list" and bool(
        re.search(r"\\(?:mathbb|cup|cap|setminus|in)", single.text)
    )


def _all_equal(parts: tuple[Node, ...], single: Node, policy: Policy, leaf: Leaf) -> bool | None:
    """Whether a list says one and the same answer in several spellings."""
    if len(parts) > MAX_PARTS_COMPARED:
        return False
    return _in_order(parts, (single,) * len(parts), policy, leaf)


def _in_order(
    one: tuple[Node, ...], other: tuple[Node, ...], policy: Policy, leaf: Leaf
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
    one: tuple[Node, ...], other: tuple[Node, ...], policy: Policy, leaf: Leaf
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
    left: list[Node], right: list[Node], policy: Policy, leaf: Leaf
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


def _without_subjects(one: Node, other: Node) -> tuple[Node, Node]:
    """Both sides without `x =` or `x \\in`, where one names nothing or both name the same."""
    (first, one_value), (second, other_value) = _split_subject(one), _split_subject(other)
    if first and second:
        return (one_value, other_value) if _same_name(first, second) else (one, other)
    if first:
        return (one, other_value) if _has_relation(other_value) else (one_value, other_value)
    if second:
        return (one_value, other) if _has_relation(one_value) else (one_value, other_value)
    return one_value, other_value


def _has_relation(node: Node) -> bool:
    text = node.parts[0].text if node.kind == "list" else node.text
    return _RELATION.search(text) is not None


def _split_subject(node: Node) -> tuple[str, Node]:
    """The name that a node gives to its value ("" where none), and the node of the value."""
    if node.kind == "list":
        return _split_first_subject(node)
    text = _last_of_chain(node.text) if node.kind == "leaf" else node.text
    if node.kind in ("leaf", "union", "tuple") and (member := _MEMBER.match(text)):
        return text[: member.end()], parse(text[member.end() :])
    match = _SUBJECT.match(text) if node.kind == "leaf" else None
    rest = text[match.end() :] if match else ""
    if match is None or not rest or re.search(r"[=<>]", rest):
        return "", node if text == node.text else replace(node, text=text)
    return match[1], _named_value(rest)


def _split_first_subject(node: Node) -> tuple[str, Node]:
    """`n=1,2,3` names all of its parts; `a=1,b=2` is left to the parts."""
    first, *others = node.parts
    name, value = _split_subject(first)
    if name and others and not any(_RELATION.search(part.text) for part in others):
        return name, replace(node, parts=(value, *others))
    return "", node


def _named_value(text: str) -> Node:
    form = form_of(text)
    return node_of(form)


def _last_of_chain(text: str) -> str:
    """`x=5+5+1=11\\approx 11.0` as `x=11`: of a chain of equations the last exact member counts."""
    if "=" not in text:
        return text
    exact = _APPROX.split(text)[0]
    members = split_top(exact, "=")
    if len(members) < 2 or _INEQUALITY.search(exact):
        return exact
    if all(_is_arithmetic(member) for member in members):
        return members[-1]
    if len(members) == 2:
        return exact
    name = members[0] if _SUBJECT.match(members[0] + "=") else ""
    return f"{name}={members[-1]}" if name else members[-1]


def _is_arithmetic(text: str) -> bool:
    return bool(text) and not re.search(
        r"[A-Za-z]", re.sub(r"\\(?:frac|sqrt|cdot|times|pi)", "", text)
    )


def _same_name(one: str, other: str) -> bool:
    functions = {"y", "f(x)", "g(x)"}
    return (
        one == other
        or one.partition("(")[0] == other.partition("(")[0] != ""
        or ({one, other} <= functions)
    )


def _compare_leaves(one: str, other: str, policy: Policy, leaf: Leaf) -> bool | None:
    first, second = form_of(one), form_of(other)
    found = _compare_forms(first, second, policy)
    if found is not None:
        return found.reason != "different"
    if (mixed := _odd_numbers(first, second, policy)) is not None:
        return mixed
    if _cannot_be_equal(first.text, second.text):
        return False
    return leaf(first.text, second.text)


def _odd_numbers(one: Form, other: Form, policy: Policy) -> bool | None:
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
    relations = [_RELATION.search(text) is not None for text in (one, other)]
    inequality = [_INEQUALITY.search(text) is not None for text in (one, other)]
    return relations[0] != relations[1] and not any(inequality)


def parts_of(answer: str) -> Iterator[str]:
    """The texts of the parts of a list or set, or the one text of anything else."""
    node = node_of(form_of(answer))
    yield from (part.text for part in node.parts) if node.kind in ("list", "set") else (node.text,)
