"""What an answer is made of: lists, tuples, intervals, sets, unions, matrices and their parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

Kind = Literal["leaf", "list", "set", "tuple", "union", "matrix"]
MAX_PARTS = 1_000


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an answer. A leaf has only its text; a tuple's `marks` are its two brackets, a
    matrix' its number of columns."""

    kind: Kind
    text: str
    parts: tuple[Node, ...] = ()
    marks: str = ""


_AND = re.compile(r",?\s*(?<![A-Za-z\\])(?:and|or)(?![a-z])\s*,?|\s*\\(?:lor|vee)(?![A-Za-z])\s*")
_HAS_VALUE = re.compile(r"[\d\\^_=(){}\[\]]|\b[a-z]\b")
_MATRIX = re.compile(
    r"\\begin\{([pbBvV]?(?:small)?matrix|array)\}(?:\{[^{}]*\})?(.*?)\\end\{\1\}", re.DOTALL
)
_ROW_END = re.compile(r"\\\\|\\cr(?![A-Za-z])")
_UNION = re.compile(r"\\cup(?![A-Za-z])|(?<=[)\]])U(?=[(\[])")
_LESS = r"(<|\\le(?![a-zA-Z]))"
_MORE = r"(>|\\ge(?![a-zA-Z]))"
_NAME = r"\s*\|?[A-Za-z](?:_\w|\([A-Za-z]\))?\|?\s*"
_SIDE = r"([^<>=|]*?[^<>=\\|])"
_BETWEEN = re.compile(rf"{_SIDE}{_LESS}({_NAME}){_LESS}([^<>=]+)")
_BETWEEN_DOWN = re.compile(rf"{_SIDE}{_MORE}({_NAME}){_MORE}([^<>=]+)")
_BELOW = re.compile(rf"({_NAME}){_LESS}([^<>=]+)")
_ABOVE = re.compile(rf"({_NAME}){_MORE}([^<>=]+)")
_MEMBER = re.compile(r"[A-Za-z]\\in(?![A-Za-z])")


def parse(text: str, words: bool = False) -> Node:
    """The structure of a normalised answer; one that has none, or is words, is a leaf."""
    return Node("leaf", text) if words or not text else _parse(text, 0)


@lru_cache(maxsize=5_000)
def _parse(text: str, depth: int) -> Node:
    text = text.strip()
    if depth > 6 or not re.search(r"[(\[{,;&]|\\cup|and|or|\\pm|\\lor", text):
        return Node("leaf", text)
    if matrix := _MATRIX.fullmatch(text):
        return _matrix(matrix, depth)
    if "and" in text or "or" in text or r"\lor" in text:
        text = _commas_for_and(text)
    if ";" in text and len(groups := split_top(text, ";")) > 1:
        parts = tuple(_grouped(group, depth) for group in groups if group.strip())
        return Node("list", text, parts)
    if "," in text and len(pieces := split_top(text, ",")) > 1:
        parts = tuple(_flat(pieces, depth))
        return Node("list", text, parts) if len(parts) > 1 else parts[0]
    if len(unions := _split_unions(text)) > 1:
        return Node("union", text, tuple(_parse(part, depth + 1) for part in unions))
    if (bracketed := _bracketed(text)) is not None:
        return _inside(bracketed, text, depth)
    if r"\pm" in text and r"\mp" not in text and not re.search("[=<>]", text[text.find(r"\pm") :]):
        both = (text.replace(r"\pm", "+").lstrip("+"), text.replace(r"\pm", "-"))
        return Node("list", text, tuple(Node("leaf", part) for part in both))
    return Node("leaf", text)


def _commas_for_and(text: str) -> str:
    """`6 and 8` as `6,8`, unless what it joins are words."""
    if not _HAS_VALUE.search(_AND.sub("", text)):
        return text
    return _AND.sub(",", text)


def _flat(pieces: list[str], depth: int) -> Iterator[Node]:
    """The parts of a list; those that stand for two (`1\\pm2`) as two."""
    for piece in pieces:
        if not piece.strip():
            continue
        node = _parse(piece, depth + 1)
        if node.kind == "list":
            yield from node.parts
        else:
            yield node


def _grouped(group: str, depth: int) -> Node:
    """One of several parts between semicolons: `p=5,q=2` is the pair `(5,2)`."""
    node = _parse(group, depth + 1)
    if node.kind == "list" and all("=" in part.text for part in node.parts):
        values = tuple(replace(part, text=part.text.partition("=")[2]) for part in node.parts)
        return Node("tuple", group, values, "()")
    return node


def _bracketed(text: str) -> tuple[str, str] | None:
    """(brackets, inside) where one pair of brackets surrounds the whole text."""
    if text.startswith(r"\{") and text.endswith(r"\}"):
        marks, inside = "{}", text[2:-2]
    elif text.startswith(r"\langle") and text.endswith(r"\rangle"):
        marks, inside = "()", text[7:-7]
    elif text[0] in "([" and text[-1] in ")]" and len(text) > 1:
        marks, inside = text[0] + text[-1], text[1:-1]
    else:
        return None
    return (marks, inside) if _is_balanced(inside) else None


def _is_balanced(text: str) -> bool:
    depth = 0
    for symbol in text:
        if symbol in "([{":
            depth += 1
        elif symbol in ")]}":
            depth -= 1
            if depth < 0:
                return False
    return depth == 0


def _inside(bracketed: tuple[str, str], text: str, depth: int) -> Node:
    marks, inside = bracketed
    if marks == "{}":
        if re.search(r"\||(?<!\\):", inside):
            return Node("leaf", text)
        return Node("set", text, tuple(_flat(_split_inside(inside), depth)))
    pieces = _split_inside(inside)
    if len(pieces) > 1:
        return Node("tuple", text, tuple(_parse(part, depth + 1) for part in pieces), marks)
    inner = _parse(inside, depth + 1)
    return (
        inner
        if inner.kind == "matrix" or (marks == "()" and inner.kind == "leaf")
        else (Node("leaf", text))
    )


_SPACED_COMMA = re.compile(r",\s+\d{3}(?!\d)")


def _split_inside(inside: str) -> list[str]:
    """The pieces between brackets: `12,102` is two numbers, unless other commas have spaces."""
    if ";" in inside:
        return split_top(inside, ";")
    return split_top(inside, ",", thousands=_SPACED_COMMA.search(inside) is not None)


def _matrix(match: re.Match[str], depth: int) -> Node:
    rows = [
        row.split("&") for row in _ROW_END.split(match[2]) if row.replace("\\hline", "").strip()
    ]
    cells = tuple(_parse(cell.strip(), depth + 1) for row in rows for cell in row)
    if match[1][0] in "vV" or not rows or len({len(row) for row in rows}) > 1:
        return Node("leaf", match.group())
    return Node("matrix", match.group(), cells, str(len(rows[0])))


def split_top(text: str, separator: str, *, thousands: bool = True) -> list[str]:
    """`text` cut at the separators outside all brackets; with `thousands`, not within `1,234`."""
    pieces, depth, start = [], 0, 0
    for at, symbol in enumerate(text):
        if symbol in "([{":
            depth += 1
        elif symbol in ")]}":
            depth = max(0, depth - 1)
        elif symbol == separator and depth == 0:
            if thousands and separator == "," and _is_thousand(text, start, at):
                continue
            pieces.append(text[start:at].strip())
            start = at + 1
            if len(pieces) > MAX_PARTS:
                break
    return [*pieces, text[start:].strip()]


_BEFORE_THOUSAND = re.compile(r"(?:^|[^\d,])[1-9]\d{0,2}(?:,\d{3})*$")
_BEHIND_THOUSAND = re.compile(r"\d{3}(?!\d)")


def _is_thousand(text: str, start: int, at: int) -> bool:
    return (
        _BEHIND_THOUSAND.match(text, at + 1) is not None
        and _BEFORE_THOUSAND.search(text[start:at][-12:]) is not None
    )


def _split_unions(text: str) -> list[str]:
    pieces, start = [], 0
    for match in _UNION.finditer(text):
        if _is_balanced_mixed(text[start : match.start()]):
            pieces.append(text[start : match.start()])
            start = match.end()
    return [*pieces, text[start:]]


def _is_balanced_mixed(text: str) -> bool:
    return sum(text.count(s) for s in "([{") == sum(text.count(s) for s in ")]}")


def as_interval(node: Node) -> Node:
    """`a<x\\le b`, `x>3` and `x\\in(a,b)` as the interval that they describe; others unchanged."""
    text = node.text
    if node.kind == "list" and node.parts:
        parts = tuple(as_interval(part) for part in node.parts)
        found = all(part.kind == "tuple" for part in parts)
        return Node("union", text, parts) if found else node
    if node.kind not in ("leaf", "union"):
        return node
    if member := _MEMBER.match(text):
        return _parse(text[member.end() :], 0)
    if node.kind == "leaf" and ("<" in text or ">" in text or r"\le" in text or r"\ge" in text):
        bounds = _bounds(text)
        if bounds is not None:
            low, high, marks = bounds
            return Node("tuple", text, (_parse(low, 1), _parse(high, 1)), marks)
    return node


def _bounds(text: str) -> tuple[str, str, str] | None:
    if (m := _BETWEEN.fullmatch(text)) and "|" not in m[3]:
        return m[1], m[5], ("(" if m[2] == "<" else "[") + (")" if m[4] == "<" else "]")
    if (m := _BETWEEN_DOWN.fullmatch(text)) and "|" not in m[3]:
        return m[5], m[1], ("(" if m[4] == ">" else "[") + (")" if m[2] == ">" else "]")
    if (m := _BELOW.fullmatch(text)) and "|" not in m[1]:
        return r"-\infty", m[3], "(" + (")" if m[2] == "<" else "]")
    if (m := _ABOVE.fullmatch(text)) and "|" not in m[1]:
        return m[3], r"\infty", ("(" if m[2] == ">" else "[") + ")"
    return None


def describes_interval(node: Node) -> bool:
    """Whether a node is an interval or a union: what an inequality may be compared with."""
    if node.kind == "leaf" and r"\in" in node.text:
        return _MEMBER.match(node.text) is not None
    return node.kind == "union" or (node.kind == "tuple" and len(node.parts) == 2)
