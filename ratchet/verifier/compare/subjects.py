"""What an answer says it is the value of: the `x =` before it, and chains of equations."""

from __future__ import annotations

import re
from dataclasses import replace

from ratchet.verifier.compare.forms import form_of, node_of
from ratchet.verifier.compare.parts import Node, parse, split_top

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
RELATION = re.compile(r"[=<>]|\\(?:in|le|ge|ne|approx|equiv)(?![A-Za-z])")
INEQUALITY = re.compile(r"[<>]|\\(?:le|ge|ne)(?![A-Za-z])")
_MEMBER = re.compile(r"[A-Za-z]\\in(?![A-Za-z])")
_APPROX = re.compile(r"\\(?:approx|simeq|sim)(?![A-Za-z])")


def without_subjects(one: Node, other: Node) -> tuple[Node, Node]:
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
    return RELATION.search(text) is not None


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
    if name and others and not any(RELATION.search(part.text) for part in others):
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
    if len(members) < 2 or INEQUALITY.search(exact):
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
