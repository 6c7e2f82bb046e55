"""Rewrites a text so that its arithmetic is plain, each character staying at its place.

LaTeX becomes plain signs padded with spaces (`\\frac{3}{4}` -> `      (3/4)`), so that a position
in the plain text is the position in the text as written.
"""

from __future__ import annotations

import re

MARK = re.compile(r"<<([^<>\n]{1,400})>>")
"""A calculator mark of GSM8K, `<<48/2=24>>`."""
UNREADABLE = "√"
"""Stands for every LaTeX command that is no plain arithmetic."""
MAX_NESTED = 4

_GROUPS = re.compile(r"(?<![0-9])[0-9]{1,3}(?:(?:\{,\}|,\\!)[0-9]{3})+(?![0-9])")
_COMMAND = re.compile(r"\\(?:([A-Za-z]+)|.)", re.DOTALL)
_FRACTION = re.compile(r"\\frac *(?:\{([^{}]{1,200})\}|([0-9])) *(?:\{([^{}]{1,200})\}|([0-9]))")
_ARGUMENT = re.compile(r"√ *\{[^{}]*\}")
_EXPONENT = re.compile(r"\^\{([^{}]{1,40})\}")
_UNIT_POWER = re.compile(r"(?<=[A-Za-z])\^[23]\b")
_BRACES = str.maketrans("{}&\\", "  " + " " + UNREADABLE)
_CONTINUED = re.compile(r"\n[ \t&]*(?=[=≈])")

_SILENT = frozenset(
    [
        "left",
        "right",
        "big",
        "Big",
        "bigl",
        "bigr",
        "bigg",
        "Bigg",
        "text",
        "textbf",
        "textit",
        "mathrm",
        "mathbf",
        "mbox",
        "boxed",
        "displaystyle",
        "quad",
        "qquad",
        "circ",
    ]
)
_MEANING = {
    **dict.fromkeys(("times", "cdot", "ast"), "*"),
    **dict.fromkeys(("dfrac", "tfrac", "cfrac", "frac"), "\\frac"),
    **dict.fromkeys(("le", "leq", "leqslant"), "≤"),
    **dict.fromkeys(("ge", "geq", "geqslant"), "≥"),
    **dict.fromkeys(("ne", "neq"), "≠"),
    **dict.fromkeys(_SILENT, ""),
    "approx": "≈",
    "div": "/",
}
_SIGNS = {**dict.fromkeys((f"\\{c}" for c in ",;:! ()[]{}"), ""), "\\%": "%", "\\$": "$"}
_SIGNS["\\\\"] = "\n"


def plain(text: str) -> str:
    """The text without calculator marks, LaTeX and line breaks before `=`; its length is kept."""
    if "<<" in text:
        text = MARK.sub(_blank, text)
    if "\\" in text:
        text = _without_latex(text)
    if "^" in text:
        text = _UNIT_POWER.sub(_blank, text)
    if "\n=" in text or "\n " in text:
        text = _CONTINUED.sub(_blank, text)
    return text


def _without_latex(text: str) -> str:
    text = _COMMAND.sub(_command, _GROUPS.sub(_grouped, text))
    for _ in range(MAX_NESTED):
        before = text
        text = _ARGUMENT.sub(_unreadable, _EXPONENT.sub(r"^(\1)", text))
        text = _FRACTION.sub(_fraction, text)
        if text == before:
            break
    return text.translate(_BRACES)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _unreadable(match: re.Match[str]) -> str:
    return UNREADABLE * len(match[0])


def _grouped(match: re.Match[str]) -> str:
    """`1{,}000` -> `1,000  `."""
    return re.sub(r"\{,\}|,\\!", ",", match[0]).ljust(len(match[0]))


def _command(match: re.Match[str]) -> str:
    name = match[1]
    meaning = _MEANING.get(name, UNREADABLE) if name else _SIGNS.get(match[0], UNREADABLE)
    return meaning.rjust(len(match[0]))


def _fraction(match: re.Match[str]) -> str:
    r"""`\frac{3}{4}` -> `(3/4)`, after a digit ` 3/4`, which reads as a mixed number."""
    top, bottom = match[1] or match[2], match[3] or match[4]
    if not (top.isdecimal() and bottom.isdecimal()):
        return f"(({top})/({bottom}))".rjust(len(match[0]))
    before = match.string[max(0, match.start() - 2) : match.start()]
    if not before.rstrip()[-1:].isdecimal():
        return f"({top}/{bottom})".rjust(len(match[0]))
    pair = f"{top}/{bottom}" if before[-1] == " " else f" {top}/{bottom}"
    return pair.ljust(len(match[0]))
