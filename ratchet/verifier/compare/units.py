"""Units behind a number: split off, and told apart."""

from __future__ import annotations

import re

_TEXT_UNIT = re.compile(
    r"(?<=[\d.)}\w%])\$?\s*(?:\\[ ,;])*\s*\\"
    r"(?:text(?:rm|bf|it|normal)?|mbox|mathrm|hbox|operatorname)"
    r"\s*\{\s*(?:\\[ ,;]\s*)?([A-Za-z°][^{}\d]*)\}((?:/\\text\{[^{}\d]*\})?)"
    r"(\^\{?\d\}?)?\s*[.$]*$"
)
_WORD_UNIT = re.compile(
    r"(?<=[\d.)}])(?:\s?(%)|\s([A-Za-z]{2,}\.?(?:[\^/ ]+[A-Za-z\d{}]+)*)|(?<=\d)([a-z]{2,6})"
    r"|\s?([mgsLhN])(?:\^?([23])|(?=$)))$"
)
_CURRENCY = re.compile(r"^([-+]?)\s*\\?([$€£])\s*(?=[\d.])|(?<=\d)\s*\\?([$€£])$")
_CURRENCY_NAMES = {"$": "dollar", "€": "euro", "£": "pound"}
_SHORT_UNITS = frozenset(
    ("cm", "mm", "km", "kg", "mg", "ml", "cl", "ft", "in", "lb", "oz", "mi", "hr", "hz", "am", "pm")
)
_NO_UNITS = frozenset(
    {"hundred", "thousand", "million", "billion", "trillion", "dozen", "half", "over", "times"}
    | {"plus", "minus", "mod", "base", "and", "or", "choose", "sqrt", "exp", "log", "pi", "frac"}
    | {"sin", "cos", "tan", "cot", "sec", "csc", "if", "not", "only", "where", "for", "when", "is"}
    | {"ln", "cdot", "infty", "theta", "to", "than", "less", "more", "between", "cup", "either"}
)
_PERCENT = frozenset({"%", "percent", "percentage", "pct", "per cent"})
_SAME = {
    "cm": "centimeter", "centimetre": "centimeter", "mm": "millimeter", "km": "kilometer",
    "kilometre": "kilometer", "m": "meter", "metre": "meter", "kg": "kilogram", "g": "gram",
    "ft": "foot", "feet": "foot", "in": "inch", "inche": "inch", "sq": "square",
    "mi": "mile", "h": "hour", "hr": "hour", "s": "second", "sec": "second", "min": "minute",
    "lb": "pound", "oz": "ounce", "l": "liter", "litre": "liter", "usd": "dollar", "buck": "dollar",
    "ml": "milliliter", "yr": "year", "deg": "degree", "unit": "",
}  # fmt: skip


def split_currency(text: str) -> tuple[str, str]:
    """A text without the `\\$` or `€` at its number, and that currency ("" where there is none)."""
    match = _CURRENCY.search(text)
    if match is None or text.count("$") > 1:
        return text, ""
    name = _CURRENCY_NAMES[match[2] or match[3]]
    if match[2]:
        return (match[1] or "") + text[match.end() :], name
    return text[: match.start()], name


def split_text_unit(text: str) -> tuple[str, str]:
    """A text without the `\\text{ cm}^2` behind it, and that unit ("" where there is none)."""
    if "{" not in text:
        return text, ""
    match = _TEXT_UNIT.search(text)
    if match is None or _NO_UNITS.intersection(match[1].casefold().split()):
        return text, ""
    opened = "$" if text.startswith("$") and text.endswith("$") and len(text) > 1 else ""
    unit = match[1] + re.sub(r"\\text|[{}]", "", match[2] or "") + (match[3] or "")
    return text[: match.start()] + opened, unit.strip()


def split_word_unit(text: str) -> tuple[str, str]:
    """A normalised text without the unit behind its number, and that unit."""
    match = _WORD_UNIT.search(text[-120:])
    if match is None:
        return text, ""
    _, words, glued, letter, power = match.groups()
    if letter and not (power or match.group().startswith(" ")):
        return text, ""
    if glued and glued not in _SHORT_UNITS:
        return text, ""
    names = re.findall(r"[a-z]+", (words or glued or letter or "").casefold())
    if _NO_UNITS.intersection(names) or (words and not _is_unit(names[0])):
        return text, ""
    return text[: len(text) - len(match.group())].rstrip(), match.group().strip()


def is_percent(unit: str) -> bool:
    return unit.casefold().strip(". ") in _PERCENT


def units_agree(one: str, other: str, *, required: bool = False) -> bool:
    """Whether the units may name the same. A missing one agrees with all, unless required."""
    if one == other:
        return True
    if is_percent(one) or is_percent(other):
        return not one or not other or is_percent(one) == is_percent(other)
    if not one or not other:
        return not required
    first, second = _words(one), _words(other)
    return first == second or (_is_part(first, second) and not required)


def _is_part(one: list[str], other: list[str]) -> bool:
    """Whether the shorter one is how the longer begins or ends: `dollars`, `dollars per day`."""
    short, long = sorted((one, other), key=len)
    return long[: len(short)] == short or long[-len(short) :] == short


def _words(unit: str) -> list[str]:
    words = re.findall(r"[a-z]+|\d+", unit.casefold())
    named = [_SAME.get(word, _SAME.get(word.rstrip("s"), word.rstrip("s"))) for word in words]
    if named and named[0] == "square":
        named = [*named[1:], "2"]
    return [word for word in named if word]


def _is_unit(word: str) -> bool:
    return len(word) > 2 or word in _SHORT_UNITS
