r"""A text as plain words, so that one problem in two spellings reads the same.

Gone are case, spacing, punctuation, accents, compatibility characters (`²`, `ｘ`, `½`), the
spelling of LaTeX (`\dfrac`, `\left(`, `\text{cm}`, `$…$`, `\,`), separators of thousands, and
numbers in words. Operators are punctuation too: a plain text matches by its words and numbers.
"""

from __future__ import annotations

import re
import unicodedata

from ratchet.number_words import NUMBER_WORDS, numbers_as_digits

MAX_READ = 1_000_000
"""Characters of a text that are looked at; what follows them is not compared."""

_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_WORD_OR_STOP = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[^\w\s-]|_")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_RAISED = re.compile("[⁰¹²³⁴-⁹₀-₉]+")
_THOUSANDS = re.compile(r"(?<=\d)(?:,(?:\\!)?|\{,\}|\\,)(?=\d{3}(?!\d))")
_ROUND = re.compile(r"(?<=\d)\.0+(?!\d)")
_BARE_FRACTION = re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{[^{}\\]{0,40}\}")
_COMMAND = re.compile(r"\\(?:[a-z]+|.)", re.DOTALL)
_SILENT = frozenset(
    [
        "frac",
        "dfrac",
        "tfrac",
        "cfrac",
        "left",
        "right",
        "middle",
        "big",
        "bigl",
        "bigr",
        "bigg",
        "biggl",
        "biggr",
        "displaystyle",
        "textstyle",
        "text",
        "textbf",
        "textit",
        "textrm",
        "mathrm",
        "mathbf",
        "mathit",
        "mathsf",
        "mathbb",
        "mathcal",
        "boldsymbol",
        "operatorname",
        "mbox",
        "hbox",
        "quad",
        "qquad",
        "hspace",
        "vspace",
        "phantom",
        "cdot",
        "times",
        "ast",
        "div",
        "le",
        "leq",
        "leqslant",
        "lt",
        "ge",
        "geq",
        "geqslant",
        "gt",
        "ne",
        "neq",
        "pm",
        "mp",
        "to",
        "rightarrow",
        "implies",
        "limits",
        "nolimits",
        "ldots",
        "cdots",
        "dots",
        "dotsb",
        "dotsc",
        "lbrace",
        "rbrace",
        "langle",
        "rangle",
        "lvert",
        "rvert",
        "vert",
        "mid",
        "colon",
    ]
)
_SAID = {
    "\\%": " percent ",
    "\\!": "",
    "\\degree": " circ ",
    "\\textdegree": " circ ",
    "\\dbinom": " binom ",
    "\\tbinom": " binom ",
    "\\lfloor": " floor ",
    "\\rfloor": " floor ",
    "\\lceil": " ceil ",
    "\\rceil": " ceil ",
}
_SYMBOLS = {
    "°": " circ ",
    "√": " sqrt ",
    "∞": " infty ",
    "π": " pi ",
    "θ": " theta ",
    "∑": " sum ",
    "∫": " int ",
    "⌊": " floor ",
    "⌋": " floor ",
    "⌈": " ceil ",
    "⌉": " ceil ",
    "％": " percent ",
    "⁄": "/",
    "−": "-",
}
_SPACED_BLOCKS = (("\u0e00", "\u0eff"), ("\u1000", "\u109f"), ("\u1780", "\u17ff"))
"""Thai and Lao, Burmese, Khmer: written without spaces, as Chinese and Japanese are."""


def plain_words(text: str) -> list[str]:
    """The words and numbers of a text, each a token, in order; `2x` is two.

    Scripts without spaces give one token for each character. Linear in the text, of which at most
    `MAX_READ` characters are read.
    """
    text = _plain_text(text[:MAX_READ])
    words = _WORD.findall(text)
    if NUMBER_WORDS.isdisjoint(words):
        return words
    tokens = numbers_as_digits(_WORD_OR_STOP.findall(text))
    return [token for token in tokens if token[0].isalnum()]


def fold(text: str) -> str:
    """`text` in lower case, without accents, invisible marks and compatibility characters.

    Character by character, since Unicode's own normal forms take quadratic time on a long run of
    accents.
    """
    if not text.isascii():
        text = _NOT_ASCII.sub(_fold_run, text)
    return text.lower()


def _fold_run(run: re.Match[str]) -> str:
    return _RAISED.sub(r"^\g<0> ", run.group()).translate(_FOLDED)


class _Folded(dict[int, str]):
    """What each character outside ASCII becomes, filled as characters come."""

    def __missing__(self, code: int) -> str:
        plain = self[code] = _fold_character(chr(code))
        return plain


_FOLDED = _Folded()


def _fold_character(character: str) -> str:
    if character in _SYMBOLS:
        return _SYMBOLS[character]
    if (digit := unicodedata.decimal(character, None)) is not None:
        return str(digit)
    spread = unicodedata.normalize("NFKD", character.casefold())
    plain = "".join(c for c in spread.casefold() if unicodedata.category(c) not in ("Mn", "Cf"))
    plain = plain.replace("⁄", "/")
    is_wide = unicodedata.east_asian_width(character) == "W" and character.isalpha()
    if is_wide or "/" in plain or any(a <= character <= b for a, b in _SPACED_BLOCKS):
        return f" {plain} "
    return plain


def _plain_text(text: str) -> str:
    text = fold(text)
    if "," in text:
        text = _THOUSANDS.sub("", text)
    if "\\" in text:
        text = _plain_latex(text)
    if ".0" in text:
        text = _ROUND.sub("", text)
    return text.replace("%", " percent ") if "%" in text else text


def _plain_latex(text: str) -> str:
    text = _ENVIRONMENT.sub(" ", text)
    text = _BARE_FRACTION.sub(r" \1 \2 ", text)
    return _COMMAND.sub(_plain_command, text)


def _plain_command(command: re.Match[str]) -> str:
    text = command.group()
    if text in _SAID:
        return _SAID[text]
    name = text[1:]
    return f" {name} " if name.isalpha() and name not in _SILENT else " "
