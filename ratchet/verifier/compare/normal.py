"""One spelling for answers that only look different."""

from __future__ import annotations

import re

_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"))
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"))
_KNOWN = (
    r"frac|dfrac|tfrac|cfrac|left|right|sqrt|boxed|fbox|text|pi|le|ge|leq|geq|cup|cap|infty|pm|in|"
    r"quad|cdot|times|begin|end|circ|theta|mathrm|mathbf|neq|ne|sin|cos|tan|log|ln|dots|ldots|binom"
)
_DOUBLED = re.compile(rf"(?<!\\)\\\\(?=(?:{_KNOWN})(?![A-Za-z]))")
_ESCAPED_NEWLINE = re.compile(r"(?<!\\)\\n(?![A-Za-z])")
_BOX = re.compile(r"\\(?:boxed|fbox)\{([^{}]*)\}")
_SIZES = re.compile(r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])\.?")
_FRACTIONS = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_SPACES = re.compile(
    r"(?<!\\)(?:\\!\s*|\\[,;:> ])|~|\\q?quad|\\(?:display|text)style(?![A-Za-z])"
    r"|[\u00a0\u2009\u202f\u200b]|\\(?:phantom|hspace|vspace)\s*\{[^{}]*\}"
)
_TEXT = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|mbox|math(?:rm|bf|it|sf|bb|cal)|operatorname\*?|hbox|emph"
    r"|boldsymbol|bm|underline)\s*\{([^{}]*)\}"
)
_DEGREES = re.compile(r"\^\{?\\circ\}?|\^\{?\\degrees?\}?|\\degrees?|°|\^\{?o\}(?![A-Za-z])")
_SHORT_FRAC = re.compile(
    r"\\frac\s*(?:(\d)\s*(\d)|(\d)\s*(\{)|(\{[^{}]*\})\s*(\w)(?!\w)|([A-Za-z])\s*([A-Za-z\d]))"
)
_OVER = re.compile(r"\{([^{}]*)\\over([^{}]*)\}")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\w)(?!\{)")
_ONE_TOKEN_SCRIPT = re.compile(r"([_^])\{(\w)\}")
_SPACE_IN_MATH = re.compile(r"(?<![A-Za-z0-9.,])\s+|\s+(?![A-Za-z0-9.])|(?<=,)\s+(?!\d{3}(?!\d))")
_CHOICE = re.compile(r"\(?([A-Ja-j])\)|\(([A-Za-z])\)|(?:option|choice) \(?([A-Ja-j])\)?", re.I)
_LABELLED_CHOICE = re.compile(r"\(([A-J])\)\s*\S.*|([A-J])[).:]\s*\S.*")
_TIME = re.compile(r"(\d{1,2}:\d{2}(?::\d{2})?|\d{1,2})\s*([ap])\.?\s?m\.?", re.I)
_CLOCK = re.compile(r"0?(\d{1,2}:\d{2}(?::\d{2})?)( [ap]m)?")
_BASE_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "sixteen": "16",
}  # fmt: skip
_BASE = re.compile(rf"_\{{?\s*({'|'.join(_BASE_WORDS)})\s*\}}?")
_REPLACED = {
    "\u2212": "-", "\u2013": "-", "\u2010": "-", "\u00d7": r"\times ", "\u00b7": r"\cdot ",
    "\u22c5": r"\cdot ", "\u00f7": "/", "\u03c0": r"\pi ", "\u221e": r"\infty ",
    "\u2264": r"\le ", "\u2265": r"\ge ", "\u2260": r"\ne ", "\u00b1": r"\pm ",
    "\u222a": r"\cup ", "\u2229": r"\cap ", "\u2208": r"\in ", "\u00b2": "^2", "\u00b3": "^3",
    "\u00bd": r"\frac{1}{2}", "\u00bc": r"\frac{1}{4}", "\u00be": r"\frac{3}{4}",
    "\u2044": "/", "\u27e8": r"\langle ", "\u27e9": r"\rangle ", "\u03b8": r"\theta ",
    "<=": r"\le ", ">=": r"\ge ", "!=": r"\ne ", r"\%": "%", r"\$": "", "$": "", "{,}": ",",
    "{, }": ",", r"\{,\}": ",", "**": "^", r"\(": "", r"\)": "", r"\[": "", r"\]": "", r"\"": "",
}  # fmt: skip
_REPLACED_RE = re.compile("|".join(re.escape(key) for key in sorted(_REPLACED, key=len)[::-1]))
_SPECIAL = re.compile(r"[\\${}^_°~<>=!*\u0080-\uffff]")
_COMMANDS = {
    "leq": r"\le ", "leqslant": r"\le ", "geq": r"\ge ", "geqslant": r"\ge ", "neq": r"\ne ",
    "lt": "<", "gt": ">", "lbrace": r"\{", "rbrace": r"\}", "lbrack": "[", "rbrack": "]",
    "dots": r"\ldots ", "cdots": r"\ldots ", "dotsc": r"\ldots ", "mid": "|", "vert": "|",
    "lvert": "|", "rvert": "|", "div": "/", "varnothing": r"\emptyset ", "ast": "*", "to": r"\to ",
}  # fmt: skip
_COMMANDS_RE = re.compile(rf"\\({'|'.join(_COMMANDS)})(?![A-Za-z])")
_SPACE_BEHIND_COMMAND = re.compile(r"(\\[A-Za-z]+)\s+(?![A-Za-z])")
_LEADING_PLUS = re.compile(r"^\+(?=[\d.])")
_ALIGNED = re.compile(r"\\(?:begin|end)\{(?:align|aligned|equation|gather|split)\*?\}|&(?==)")
_MATRIX = re.compile(r"\\begin\{(?:[pbBvV]?(?:small)?matrix|array)\}")


def normalise(answer: str) -> str:
    """One spelling for what only looks different: spacing, delimiters, LaTeX variants.

    Currency signs and units are dealt with before, in `ratchet.verifier.compare.units`.
    """
    text = unwrap(answer.strip())
    if not _SPECIAL.search(text):
        return _finished(" ".join(text.split()))
    text = _DOUBLED.sub(r"\\", text) if "\\\\" in text else text
    text = _ESCAPED_NEWLINE.sub(" ", text)
    text = _SPACES.sub(_thin_space, text)
    text = _SIZES.sub("", text)
    if "begin" in text and not _MATRIX.search(text):
        text = _ALIGNED.sub("", text).replace(r"\\", " ")
    text = _FRACTIONS.sub(r"\\frac", text)
    text = _REPLACED_RE.sub(lambda match: _REPLACED[match.group()], text)
    text = _COMMANDS_RE.sub(lambda match: _COMMANDS[match[1]], text)
    text = _TEXT.sub(r" \1 ", _TEXT.sub(r" \1 ", text))
    text = _BOX.sub(r"\1", text)
    text = _DEGREES.sub("", text)
    text = _OVER.sub(r"\\frac{\1}{\2}", text)
    text = _SHORT_FRAC.sub(_long_frac, text)
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    text = _BASE.sub(lambda match: "_" + _BASE_WORDS[match[1]], text)
    text = _ONE_TOKEN_SCRIPT.sub(r"\1\2", text)
    return _finished(" ".join(text.split()))


def _finished(text: str) -> str:
    text = _SPACE_BEHIND_COMMAND.sub(r"\1", _SPACE_IN_MATH.sub("", text))
    text = text.strip().rstrip(".,;:").rstrip()
    text = _LEADING_PLUS.sub("", text)
    text = _ungrouped(text)
    if choice := _CHOICE.fullmatch(text):
        return next(letter for letter in choice.groups() if letter)
    if text[:1].isdigit() and (time := _TIME.fullmatch(text)):
        text = f"{time[1]} {time[2].lower()}m"
    if ":" in text and (clock := _CLOCK.fullmatch(text)):
        return clock[1] + (clock[2] or "")
    return text


def choice_of(text: str) -> str | None:
    """The letter of a labelled choice, as in `(C) 12` or `B. Paris`."""
    match = _LABELLED_CHOICE.fullmatch(text)
    return match[1] or match[2] if match else None


def unwrap(text: str) -> str:
    """`text` without the delimiters of mathematics or emphasis around the whole of it."""
    for opening, closing in (*_DELIMITERS, *_QUOTES):
        inside = text[len(opening) : len(text) - len(closing)]
        if text.startswith(opening) and text.endswith(closing) and opening not in inside:
            text = inside.strip()
    return text


def _ungrouped(text: str) -> str:
    """`text` without LaTeX's grouping braces around the whole of it, which show nothing."""
    while text.startswith("{") and text.endswith("}") and _closes_at_end(text):
        text = text[1:-1].strip()
    return text


def _closes_at_end(text: str) -> bool:
    depth = 0
    for at, symbol in enumerate(text):
        depth += (symbol == "{") - (symbol == "}")
        if depth == 0:
            return at == len(text) - 1
    return False


def _thin_space(match: re.Match[str]) -> str:
    """`\\!` and `\\,` draw together what they stand between (`10,\\!080`); others are spaces."""
    return "" if match.group().startswith((r"\!", r"\,")) else " "


def _long_frac(match: re.Match[str]) -> str:
    a, b, c, brace, d, e, f, g = match.groups()
    if a is not None:
        return rf"\frac{{{a}}}{{{b}}}"
    if f is not None:
        return rf"\frac{{{f}}}{{{g}}}"
    return rf"\frac{{{c}}}{brace}" if c is not None else rf"\frac{d}{{{e}}}"
