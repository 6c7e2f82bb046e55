"""The `answer` field of JSON that a model wrote, strictly valid or not."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIELD = re.compile(r"""(?:^|[{,\s])["'](?:final_?\s?answer|answer)["']\s*:\s*""", re.IGNORECASE)
_BARE_VALUE = re.compile(r"(?:\[[^\[\]]*\]|[^,}\]\n]+)")
_ESCAPE = re.compile(r"""\\(?:(["'/\\])|u([0-9a-fA-F]{4})|n(?![A-Za-z]))""")

_SINGLE_COMMAND = re.compile(r"(?<!\\)(?:\\\\)*\\(?!n(?!eq|u\b|ot\b|abla))[a-zA-Z]{2,}")


@dataclass(frozen=True, slots=True)
class JsonField:
    """A field's value as text, the offset behind it, and whether the value had its end."""

    value: str
    start: int
    end: int
    is_whole: bool


def json_answer(text: str) -> JsonField | None:
    """The value of the last `"answer":` in `text`, or None where there is none.

    What follows the value may be missing, and LaTeX's backslashes need not be doubled.
    """
    field = None
    if "nswer" not in text and "NSWER" not in text:
        return None
    for field in _FIELD.finditer(text):  # noqa: B007
        pass
    if field is None or "{" not in text[: field.end()]:
        return None
    start = field.end()
    if text[start : start + 1] in ('"', "'"):
        return _quoted(text, start, text[start])
    bare = _BARE_VALUE.match(text, start)
    value = bare.group().strip().strip("[]") if bare else ""
    if not bare or not value or value in ("null", "{"):
        return None
    return JsonField(value, field.start(), bare.end(), bare.end() < len(text))


def _quoted(text: str, start: int, quote: str) -> JsonField | None:
    at = start + 1
    while (at := text.find(quote, at)) >= 0 and _is_escaped(text, at):
        at += 1
    end = len(text) if at < 0 else at
    value = unescaped(text[start + 1 : end]).strip()
    return JsonField(value, start, end, at >= 0) if value else None


def _is_escaped(text: str, at: int) -> bool:
    backslashes = 0
    while text[at - 1 - backslashes] == "\\":
        backslashes += 1
    return backslashes % 2 == 1


def unescaped(raw: str) -> str:
    """A JSON string's text; a backslash that begins a LaTeX command stays."""
    if "\\" not in raw:
        return raw
    if _SINGLE_COMMAND.search(raw):  # its backslashes are LaTeX's own: `\\\\` ends a matrix' row
        return raw.replace('\\"', '"')
    return _ESCAPE.sub(_character, raw)


def _character(match: re.Match[str]) -> str:
    if match[1]:
        return match[1]
    return chr(int(match[2], 16)) if match[2] else "\n"
