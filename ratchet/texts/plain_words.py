r"""A text as plain words, so that one problem in two spellings reads the same.

Gone are case, spacing, punctuation, accents, compatibility characters (`²`, `ｘ`, `½`), the
spelling of LaTeX (`\dfrac`, `\left(`, `\text{cm}`, `$…$`, `\,`), separators of thousands, and
numbers in words. Signs and operators count, each in one spelling: `\leq`, `<=` and `⩽` are `≤`,
`\frac{3}{4}` is `3/4`. They belong to the word that follows them, so that a formula has as many
words as it would have without. A product is silent, as it is in `2x`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from ratchet.texts.number_words import NUMBER_WORDS, numbers_as_digits

MAX_READ = 1_000_000
"""Characters of a text that are looked at; what follows them is not compared."""

_OPERATORS = frozenset("+-/^=<>≤≥≠±∓|")
_MARKS = _OPERATORS | {"!"}
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[-+/^=<>≤≥≠±∓|!]")
_WORD_OR_STOP = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[^\w\s]|_")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_RAISED = re.compile("[⁰¹²³⁴-⁹₀-₉]+")
_POWER = re.compile("[⁰¹²³⁴-⁹⁺⁻]+")
_INDEX = re.compile("[₀-₉₊₋]+")
_THOUSANDS = re.compile(r"(?<=\d)(?:,(?:\\!)?|\{,\}|\\,)(?=\d{3}(?!\d))")
_ROUND = re.compile(r"(?<=\d)\.0+(?!\d)")
_HYPHEN = re.compile(r"-(?:-+|(?<=[^\W\d_]{2}-)(?=\w)|(?<=\w-)(?=[^\W\d_]{2}))")
"""Inside `two-digit` and `x-axis`, not in `x-y`; and LaTeX's dashes."""
_NOT_EQUAL = re.compile(r"(?<=\s)!=")
"""`x != 3`, but not `5!=120`."""
_EXCLAMATION = re.compile(r"(?<![\d)}])(?<!\b[a-z])!")
_DEGREES = re.compile(r"\^\s*+(?:\{\s*+)?\\(?:circ|degree)(?![a-z])")
_FRACTION_OR_BRACE = re.compile(r"\\[dtc]?frac(?![a-z])\s*+(\d)?|\\.|[{}]", re.DOTALL)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{[^{}\\]{0,40}\}")
_COMMAND = re.compile(r"\\(?:[a-z]+|.)", re.DOTALL)
_SILENT = frozenset(
    [
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
        "colon",
    ]
)
_SIGNS = {
    "<": ["lt"],
    ">": ["gt"],
    "≤": ["le", "leq", "leqslant"],
    "≥": ["ge", "geq", "geqslant"],
    "≠": ["ne", "neq"],
    "±": ["pm"],
    "∓": ["mp"],
    "/": ["div", "over"],
    "|": ["lvert", "rvert", "vert", "mid", "|"],
}
_SAID = {f"\\{name}": f" {sign} " for sign, names in _SIGNS.items() for name in names} | {
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
_UNICODE_SIGNS = str.maketrans(
    {
        **dict.fromkeys("‐‑‒–⁻₋", "-"),
        **dict.fromkeys("⁺₊", "+"),
        **dict.fromkeys("÷∕", "/"),
        **dict.fromkeys("⩽≦", "≤"),
        **dict.fromkeys("⩾≧", "≥"),
        **{raised: str(digit) for digit, raised in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
        **{lowered: str(digit) for digit, lowered in enumerate("₀₁₂₃₄₅₆₇₈₉")},
        "≠": " !=",
        "∪": " cup ",
        "∩": " cap ",
    }
)
_ASCII_SIGNS = (("->", " "), ("=>", " "), ("<=", "≤"), (">=", "≥"))
"""Arrows are silent, as `\\to` is."""
_SPACED_BLOCKS = (("\u0e00", "\u0eff"), ("\u1000", "\u109f"), ("\u1780", "\u17ff"))
"""Thai and Lao, Burmese, Khmer: written without spaces, as Chinese and Japanese are."""


def plain_words(text: str) -> list[str]:
    """The words and numbers of a text with the signs before them, in order.

    `2x` is two words, `x - y` is `x` and `-y`; signs that nothing follows are left out. Scripts
    without spaces give one word for each character. Linear in the text, of which at most `MAX_READ`
    characters are read.
    """
    text = _plain_text(text[:MAX_READ])
    words = _WORD.findall(text)
    if not NUMBER_WORDS.isdisjoint(words):
        return _with_signs(numbers_as_digits(_WORD_OR_STOP.findall(text)))
    return words if _MARKS.isdisjoint(words) else _with_signs(words)


def _with_signs(tokens: Iterable[str]) -> list[str]:
    """The words among the tokens, each with the signs before it and the factorial after it."""
    words: list[str] = []
    signs = ""
    for token in tokens:
        if token in _OPERATORS:
            signs += token
        elif token[0].isalnum():
            words.append(signs + token if signs else token)
            signs = ""
        elif token == "!" and words:
            words[-1] += token
    return words


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
    if not text.isascii():
        # Before `fold`, to which `≠` is an `=` with an accent, and `x₂` the same as `x²`.
        text = _INDEX.sub(r" \g<0> ", _POWER.sub(r"^\g<0> ", text)).translate(_UNICODE_SIGNS)
    text = fold(text)
    if "," in text:
        text = _THOUSANDS.sub("", text)
    if "\\" in text:
        text = _plain_latex(text)
    if ".0" in text:
        text = _ROUND.sub("", text)
    text = _plain_signs(text)
    return text.replace("%", " percent ") if "%" in text else text


def _plain_signs(text: str) -> str:
    for spelling, sign in _ASCII_SIGNS:
        text = text.replace(spelling, sign)
    if "-" in text:
        text = _HYPHEN.sub(" ", text)
    if "!" in text:
        text = _EXCLAMATION.sub(" ", _NOT_EQUAL.sub("≠", text))
    return text


def _plain_latex(text: str) -> str:
    text = _ENVIRONMENT.sub(" ", text)
    if "^" in text:
        text = _DEGREES.sub(" circ ", text)
    if "frac" in text:
        text = _plain_fractions(text)
    return _COMMAND.sub(_plain_command, text)


def _plain_fractions(text: str) -> str:
    r"""`\frac{a}{b}` as `{a}/{b}`, `\frac34` as `3/4`; linear in the text."""
    opened: list[bool] = []
    """For each open brace, whether it holds a numerator."""
    after = -1

    def plain(part: re.Match[str]) -> str:
        nonlocal after
        token = part.group()
        if "frac" in token:
            after = -1 if part[1] else part.end()
            return f" {part[1]}/" if part[1] else " "
        if token == "{":
            opened.append(part.start() == after)
        elif token == "}" and opened and opened.pop():
            return "}/"
        return token

    return _FRACTION_OR_BRACE.sub(plain, text)


def _plain_command(command: re.Match[str]) -> str:
    text = command.group()
    if text in _SAID:
        return _SAID[text]
    name = text[1:]
    return f" {name} " if name.isalpha() and name not in _SILENT else " "
