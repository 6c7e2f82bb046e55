"""Answers compared without evaluating anything: as text, then as exact numbers.

The policy, in words:

- `50%` equals `50`, not `0.5`: a percent sign is a unit;
- a unit behind a number (`18 \\text{ cm}`, `18 dollars`, `$18`, `90^\\circ`) counts only where both
  sides name one and the two differ;
- decimals are exact: `0.333` is not `1/3`; `0.50` is `1/2`;
- `x = 5`, `f(x) = 5`, `x \\in S` equal `5`, `S` where the other side names no variable; any other
  equation equals no value;
- `1,234` is a thousand; `1, 234` is a list;
- words compare without regard to case, and never as products of symbols.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

PlainReason = Literal["equal_string", "equal_number", "different"]

MAX_LENGTH = 2_000
"""Characters of an answer that symbolic comparison still reads."""
MAX_DIGITS = 1_000
"""Digits of a number that is still made a Fraction."""
MAX_DEPTH = 60
"""Nested braces and brackets that symbolic comparison still reads."""
MAX_EXPONENT = 1_000
"""Powers of ten, in scientific notation, that are still written out."""


@dataclass(frozen=True, slots=True)
class Form:
    """An answer's comparable forms. `number` is None where it is no plain number."""

    text: str
    unit: str
    number: Fraction | None
    is_literal: bool
    """Digits only, though perhaps too many of them to be made a number."""
    is_words: bool


def compare_plain(reference: Form, answer: Form) -> PlainReason | None:
    """The verdict that needs no evaluation, or None where only symbolic comparison can tell."""
    if not _units_agree(reference.unit, answer.unit):
        return "different"
    if reference.text == answer.text:
        return "equal_string"
    if reference.number is not None and answer.number is not None:
        return "equal_number" if reference.number == answer.number else "different"
    if reference.is_words or answer.is_words:
        same = reference.text.casefold() == answer.text.casefold()
        return "equal_string" if same else "different"
    return "different" if _cannot_be_equal(reference, answer) else None


def _cannot_be_equal(reference: Form, answer: Form) -> bool:
    """Digits against other digits, an equation against a value, something against nothing."""
    digits = all(form.is_literal or form.number is not None for form in (reference, answer))
    one_equation = ("=" in reference.text) != ("=" in answer.text)
    return digits or one_equation or not (reference.text and answer.text)


def forms_of(reference: str, answer: str) -> tuple[Form, Form]:
    """Both sides' forms; `x =` before a value is dropped where only one side names a variable."""
    forms = form_of(reference), form_of(answer)
    named = [_SUBJECT.match(form.text) for form in forms]
    if named[0] and not _RELATION.search(forms[1].text):
        return form_of(forms[0].text[named[0].end() :]), forms[1]
    if named[1] and not _RELATION.search(forms[0].text):
        return forms[0], form_of(forms[1].text[named[1].end() :])
    return forms


def form_of(answer: str) -> Form:
    """The normal forms of one answer, in time linear in its length; nothing is evaluated."""
    return _short_form(answer) if len(answer) <= MAX_LENGTH else _long_form(answer)


def _long_form(answer: str) -> Form:
    text = answer.strip()
    return Form(text, "", None, is_literal=bool(_PLAIN.fullmatch(text)), is_words=False)


@lru_cache(maxsize=20_000)
def _short_form(answer: str) -> Form:
    text, unit = _split_text_unit(answer.strip())
    text = normalise(text)
    if not unit:
        text, unit = _split_unit(text)
    number = exact_number(text)
    literal = bool(_PLAIN.fullmatch(text))
    text = _SPACE_BEFORE_SYMBOL.sub("", text)
    text = text.replace(",", "") if _THOUSANDS.fullmatch(text) else text
    return Form(text, unit, number, literal, is_words=bool(_WORDS.fullmatch(text)))


def refusal(text: str) -> str | None:
    """Why `text` must not be evaluated symbolically, or None where it may be."""
    if len(text) > MAX_LENGTH:
        return f"{len(text)} characters (limit {MAX_LENGTH})"
    if _LONG_DIGITS.search(text):
        return f"a number of over {MAX_DIGITS} digits"
    if _depth(text) > MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH}"
    if _TOWER.search(text):
        return "a tower of powers"
    return None


_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"))
_BOX = re.compile(r"\\(?:boxed|fbox)\{([^{}]*)\}")
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)(?![A-Za-z])\.?")
_FRACTIONS = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_SPACES = re.compile(
    r"(?<!\\)(?:\\!\s*|\\[,;: ])|~|\\q?quad(?![A-Za-z])|\\(?:display|text)style(?![A-Za-z])"
)
_TEXT = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|mbox|mathrm|mathbf|mathit|operatorname\*?|hbox)"
    r"\s*\{([^{}]*)\}"
)
_DEGREES = re.compile(r"\^\{?\\circ\}?|\^\{?\\degree\}?|\\degree|°")
_SHORT_FRAC = re.compile(r"\\frac\s*(?:(\d)\s*(\d)|(\d)\s*(\{)|(\{[^{}]*\})\s*(\w)(?!\w))")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\w)(?!\{)")
_ONE_TOKEN_SCRIPT = re.compile(r"([_^])\{(\w)\}")
_SPACE_IN_MATH = re.compile(r"(?<![A-Za-z0-9.,])\s+|\s+(?![A-Za-z0-9.])|(?<=,)\s+(?!\d{3}(?!\d))")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_CHOICE = re.compile(r"\(([A-Za-z])\)")
_REPLACED = {
    "\u2212": "-",
    "\u2013": "-",
    "\u00d7": r"\times ",
    "\u00b7": r"\cdot ",
    "\u03c0": r"\pi ",
    "\u221e": r"\infty ",
    "\u2264": r"\le ",
    "\u2265": r"\ge ",
    "<=": r"\le ",
    ">=": r"\ge ",
    "!=": r"\ne ",
    r"\%": "%",
    r"\$": "",
    "$": "",
    "{,}": ",",
}
_REPLACED_RE = re.compile("|".join(re.escape(key) for key in sorted(_REPLACED, key=len)[::-1]))
_COMMANDS = {"leq": r"\le ", "geq": r"\ge ", "neq": r"\ne ", "lt": "<", "gt": ">"}
_COMMANDS_RE = re.compile(rf"\\({'|'.join(_COMMANDS)})(?![A-Za-z])")
_SPACE_BEHIND_COMMAND = re.compile(r"(\\[A-Za-z]+)\s+(?![A-Za-z])")
_SPACE_BEFORE_SYMBOL = re.compile(r"(?<=\d) (?=[A-Za-z](?![A-Za-z]))")


def normalise(answer: str) -> str:
    """One spelling for what only looks different: spacing, delimiters, LaTeX variants."""
    text = _unwrap(answer.strip())
    text = _SPACES.sub(_thin_space, text)
    text = _SIZES.sub("", text)
    text = _FRACTIONS.sub(r"\\frac", text)
    text = _REPLACED_RE.sub(lambda match: _REPLACED[match.group()], text)
    text = _COMMANDS_RE.sub(lambda match: _COMMANDS[match[1]], text)
    text = _TEXT.sub(r" \1 ", text)
    text = _BOX.sub(r"\1", text)
    text = _DEGREES.sub("", text)
    text = _SHORT_FRAC.sub(_long_frac, text)
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    text = _ONE_TOKEN_SCRIPT.sub(r"\1\2", text)
    text = " ".join(text.split())
    text = _SPACE_BEHIND_COMMAND.sub(r"\1", _SPACE_IN_MATH.sub("", text))
    text = text.strip().rstrip(".,;:").rstrip()
    return choice.group(1) if (choice := _CHOICE.fullmatch(text)) else text


def _unwrap(text: str) -> str:
    """`text` without the delimiters of mathematics or emphasis around the whole of it."""
    for opening, closing in _DELIMITERS:
        inside = text[len(opening) : len(text) - len(closing)]
        if text.startswith(opening) and text.endswith(closing) and opening not in inside:
            text = inside.strip()
    return text


def _thin_space(match: re.Match[str]) -> str:
    """`\\!` and `\\,` draw together what they stand between (`10,\\!080`); others are spaces."""
    return "" if match.group().startswith((r"\!", r"\,")) else " "


def _long_frac(match: re.Match[str]) -> str:
    a, b, c, brace, d, e = match.groups()
    if a is not None:
        return rf"\frac{{{a}}}{{{b}}}"
    return rf"\frac{{{c}}}{brace}" if c is not None else rf"\frac{d}{{{e}}}"


_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.\d*)?|\.\d+)"
_SIGN = r"[-+]?"
_PLAIN = re.compile(rf"({_SIGN})({_DECIMAL})")
_RATIO = re.compile(rf"({_SIGN})\(?({_SIGN}{_DECIMAL})/({_SIGN}{_DECIMAL})\)?")
_FRAC = re.compile(rf"({_SIGN})\\frac\{{({_SIGN}{_DECIMAL})\}}\{{({_SIGN}{_DECIMAL})\}}")
_MIXED = re.compile(
    rf"({_SIGN})({_DIGITS})\s?\\frac\{{({_DIGITS})\}}\{{({_DIGITS})\}}"
    rf"|({_SIGN})({_DIGITS})\s({_DIGITS})/({_DIGITS})"
)
_SCIENTIFIC = re.compile(
    rf"({_SIGN}{_DECIMAL})(?:[eE]|(?:\\times|\\cdot|\*)10\^)(?:\{{({_SIGN}\d+)\}}|({_SIGN}\d+))"
)
_LONG_DIGITS = re.compile(rf"\d{{{MAX_DIGITS + 1}}}")


def exact_number(text: str) -> Fraction | None:
    """The rational number that a normalised text spells, or None where it is no plain number.

    Integers, decimals, `a/b`, `\\frac{a}{b}`, mixed numbers and scientific notation. A number of
    more than `MAX_DIGITS` digits is refused before it is converted.
    """
    if len(text) > 2 * MAX_DIGITS or _LONG_DIGITS.search(text):
        return None
    if match := _PLAIN.fullmatch(text):
        return _signed(match[1], _fraction(match[2]))
    if match := _RATIO.fullmatch(text) or _FRAC.fullmatch(text):
        return _signed(match[1], _quotient(_fraction(match[2]), _fraction(match[3])))
    if match := _MIXED.fullmatch(text):
        sign, whole, top, bottom = match.groups()[:4] if match[2] else match.groups()[4:]
        part = _quotient(_fraction(top), _fraction(bottom))
        return None if part is None else _signed(sign, _fraction(whole) + part)
    if match := _SCIENTIFIC.fullmatch(text):
        return _scaled(_fraction(match[1]), match[2] or match[3])
    return None


def _fraction(decimal: str) -> Fraction:
    sign = -1 if decimal.startswith("-") else 1
    whole, _, part = decimal.lstrip("+-").replace(",", "").partition(".")
    return Fraction(sign * int((whole + part) or "0"), 10 ** len(part))


def _quotient(top: Fraction, bottom: Fraction) -> Fraction | None:
    return top / bottom if bottom else None


def _signed(sign: str | None, value: Fraction | None) -> Fraction | None:
    return -value if sign == "-" and value is not None else value


def _scaled(value: Fraction, exponent: str) -> Fraction | None:
    if len(exponent) > 6 or abs(int(exponent)) > MAX_EXPONENT:
        return None
    return value * Fraction(10) ** int(exponent)


_SUBJECT = re.compile(
    r"(?:(?:[A-Za-z]{1,3}(?:_\w)?(?:\([a-z](?:,[a-z])*\))?|\|[A-Za-z]{1,3}\||"
    r"\([A-Za-z](?:,[A-Za-z])+\))=|[A-Za-z]\\in(?![A-Za-z]))(?!.*[=<>])"
)
_RELATION = re.compile(r"[=<>]|\\(?:in|le|ge|ne)(?![A-Za-z])")
_WORDS = re.compile(r"[A-Za-z]{3,}(?:(?:[' -]|, ?)[A-Za-z]{2,})*|[Nn]o")
_TEXT_UNIT = re.compile(
    r"(?<=[\d.)}\w])\s*(?:\\[ ,;])*\s*\\(?:text(?:rm|bf|it)?|mbox|mathrm|hbox)"
    r"\s*\{\s*([A-Za-z][^{}\d]*)\}(\^\{?\d\}?)?\s*[.$]*$"
)
_UNIT = re.compile(r"(?<=[\d.)}])(?:%|\s([A-Za-z]{2,}\.?(?:[\^/ ]+[A-Za-z\d]+)*))$")
_SHORT_UNITS = frozenset(
    ("cm", "mm", "km", "kg", "mg", "ml", "cl", "ft", "in", "lb", "oz", "mi", "hr", "hz", "am", "pm")
)
_NO_UNITS = frozenset(
    {"hundred", "thousand", "million", "billion", "trillion", "dozen", "half", "over", "times"}
    | {"plus", "minus", "mod", "base", "and", "choose", "sqrt", "exp", "log"}
    | {"sin", "cos", "tan", "cot", "sec", "csc"}
)


def _split_text_unit(text: str) -> tuple[str, str]:
    """A text without the `\\text{ cm}^2` behind it, and that unit ("" where there is none)."""
    match = _TEXT_UNIT.search(text)
    if match is None or _NO_UNITS.intersection(match[1].casefold().split()):
        return text, ""
    opened = "$" if text.startswith("$") and text.endswith("$") and len(text) > 1 else ""
    return text[: match.start()] + opened, (match[1].strip() + (match[2] or "")).strip()


def _split_unit(text: str) -> tuple[str, str]:
    """A normalised text without the unit behind its number, and that unit."""
    match = _UNIT.search(text[-120:])
    if match is None:
        return text, ""
    words = re.findall(r"[a-z]+", (match[1] or "").casefold())
    if _NO_UNITS.intersection(words) or (words and not _is_unit(words[0])):
        return text, ""
    return text[: len(text) - len(match.group())].rstrip(), match.group().strip()


def _is_unit(word: str) -> bool:
    return len(word) > 2 or word in _SHORT_UNITS


def _units_agree(one: str, other: str) -> bool:
    """Whether the units may name the same; a missing one, or a percent sign, agrees with all."""
    if not one or not other or "%" in (one, other):
        return True
    return _unit_key(one) == _unit_key(other)


def _unit_key(unit: str) -> str:
    words = re.findall(r"[a-z]+|\d+", unit.casefold())
    return " ".join(word.rstrip("s") for word in words)


_TOWER = re.compile(r"\^\{[^{}^]{0,20}\^\{[^{}^]{0,20}\^|\^\d+\^|\^\{?\d{7,}")


def _depth(text: str) -> int:
    depth = deepest = 0
    for symbol in text:
        if symbol in "{([":
            depth += 1
            deepest = max(deepest, depth)
        elif symbol in "})]":
            depth -= 1
    return deepest
