r"""The written side of a language: which scripts it uses, and a text's prose cut by script.

Scripts are the cheapest evidence of a language: Thai letters are Thai, and a Chinese character in
an English solution is foreign, whatever a detector of languages would say. Code-point ranges are
those of https://www.unicode.org/Public/UCD/latest/ucd/Blocks.txt, less their digits and marks.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from itertools import groupby
from typing import Annotated

from pydantic import AfterValidator

OWN_LANGUAGE = "problem"
"""In settings, in place of a code: the language that each problem itself is in."""
MAX_READ = 100_000
"""Characters of a text that are read: of a longer one its first and its last half of this."""

SCRIPTS = {
    "latin": "A-Za-zÀ-ÖØ-öø-ɏɐ-ʯḀ-ỿ",
    "greek": "\u0370-\u0373\u0376-\u037d\u0386-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "armenian": "\u0531-\u0556\u0561-\u0587",
    "hebrew": "\u05d0-\u05f2",
    "arabic": "\u0620-\u065f\u066e-\u06d3\u06d5-\u06ef\u06fa-\u06ff\u0750-\u077f\u08a0-\u08ff"
    "\ufb50-\ufdff\ufe70-\ufefc",
    "devanagari": "\u0900-\u0963\u0971-\u097f",
    "bengali": "\u0980-\u09e3\u09f0\u09f1",
    "gurmukhi": "\u0a00-\u0a63\u0a70-\u0a7f",
    "gujarati": "\u0a80-\u0ae3",
    "odia": "\u0b00-\u0b63",
    "tamil": "\u0b80-\u0be5",
    "telugu": "\u0c00-\u0c63",
    "kannada": "\u0c80-\u0ce3",
    "malayalam": "\u0d00-\u0d63",
    "sinhala": "\u0d80-\u0de5",
    "thai": "\u0e01-\u0e3a\u0e40-\u0e4e",
    "lao": "\u0e80-\u0ecf",
    "tibetan": "\u0f40-\u0fbc",
    "burmese": "\u1000-\u103f\u1050-\u108f",
    "georgian": "\u10a0-\u10fa\u10fc-\u10ff\u1c90-\u1cbf",
    "hangul": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "ethiopic": "\u1200-\u135f\u1380-\u138f",
    "khmer": "\u1780-\u17d3",
    "cjk": "\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9d\U00020000-\U0003ffff",
}
"""Each script's characters, as the inside of a regular expression's class. Han and kana are one
(`cjk`), as Japanese mixes them in every sentence."""

LANGUAGES = {
    code: (name, script)
    for script, listed in {
        "latin": "af Afrikaans, az Azerbaijani, bs Bosnian, ca Catalan, cs Czech, cy Welsh, "
        "da Danish, de German, en English, eo Esperanto, es Spanish, et Estonian, eu Basque, "
        "fi Finnish, fr French, ga Irish, hr Croatian, hu Hungarian, id Indonesian, is Icelandic, "
        "it Italian, la Latin, lg Ganda, lt Lithuanian, lv Latvian, mi Maori, ms Malay, "
        "nb Norwegian Bokmal, nl Dutch, nn Norwegian Nynorsk, pl Polish, pt Portuguese, "
        "ro Romanian, sk Slovak, sl Slovene, sn Shona, so Somali, sq Albanian, st Sotho, "
        "sv Swedish, sw Swahili, tl Tagalog, tn Tswana, tr Turkish, ts Tsonga, vi Vietnamese, "
        "xh Xhosa, yo Yoruba, zu Zulu",
        "cyrillic": "be Belarusian, bg Bulgarian, kk Kazakh, mk Macedonian, mn Mongolian, "
        "ru Russian, sr Serbian, uk Ukrainian",
        "arabic": "ar Arabic, fa Persian, ur Urdu",
        "devanagari": "hi Hindi, mr Marathi",
        "cjk": "ja Japanese, zh Chinese",
        "greek": "el Greek",
        "armenian": "hy Armenian",
        "hebrew": "he Hebrew",
        "bengali": "bn Bengali",
        "gurmukhi": "pa Punjabi",
        "gujarati": "gu Gujarati",
        "odia": "or Odia",
        "tamil": "ta Tamil",
        "telugu": "te Telugu",
        "kannada": "kn Kannada",
        "malayalam": "ml Malayalam",
        "sinhala": "si Sinhala",
        "thai": "th Thai",
        "lao": "lo Lao",
        "tibetan": "bo Tibetan",
        "burmese": "my Burmese",
        "georgian": "ka Georgian",
        "hangul": "ko Korean",
        "ethiopic": "am Amharic",
        "khmer": "km Khmer",
    }.items()
    for code, _, name in (language.partition(" ") for language in listed.split(", "))
}
"""ISO 639-1 code -> (English name, script). Where a script has one language, that language is told
by its letters alone; the others are told apart by lingua, which knows them all."""

_WIDE = frozenset({"cjk", "hangul"})
"""Scripts whose characters are syllables or words: each counts as two letters."""
_MIN_RUN = {"greek": 4, "cjk": 1, "hangul": 1}
"""Shorter runs are variables (`x`, `αβ`), not words. Elsewhere 2."""

_CLASSES = {script: f"[{inside}]" for script, inside in SCRIPTS.items()}
_LATIN_WORD = re.compile(r"[{0}]+(?:['’][{0}]+)*".format(SCRIPTS["latin"]))
_SYMBOL = re.compile(r".|[A-Z]{2,4}|[b-df-hj-np-tv-z]{2,4}")
"""What is no word of any language to us: variables and their products, points, units, acronyms."""
_RUN = re.compile(
    "|".join(
        f"(?P<{script}>{_LATIN_WORD.pattern if script == 'latin' else one + '+'})"
        for script, one in _CLASSES.items()
    )
)
_NOT_LATIN = re.compile("|".join(one for script, one in _CLASSES.items() if script != "latin"))
_SENTENCE_END = re.compile(r"[.!?:]+(?=\s|$)|[\n…。！？：．।॥؟۔።។]+")

_PAIRS = (
    ("```", re.compile(r"```.*?```", re.DOTALL)),
    (r"\]", re.compile(r"\\\[.*?\\\]", re.DOTALL)),
    (r"\)", re.compile(r"\\\(.*?\\\)", re.DOTALL)),
)
"""What closes, and the whole. Searched up to the last one that closes, so that openings without an
end don't cost a walk to the end of the text each."""
_MATH = (
    ("`", re.compile(r"`[^`\n]+`")),
    ("$", re.compile(r"\$\$[^$]+\$\$|\$(?=\S)[^$]+(?<=\S)\$(?!\d)")),
    ("\\", re.compile(r"\\(?:begin|end)\{[^{}\\]*\}|\\[A-Za-z]+\*?(?:\{[^{}\\]*\})*")),
    ("<", re.compile(r"<<[^<>\n]*>>|</?[A-Za-z][^<>\n]*>")),
    ("://", re.compile(r"\bhttps?://[!-~]+")),
    ("_", re.compile(r"(?a:\b[A-Za-z]\w*_\w*)")),
)
r"""A character that must be there, and what is taken out. `$` follows Pandoc's rule (no space
inside, no digit after), so that the prose between two prices stays:
https://pandoc.org/MANUAL.html#math."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The words of one sentence that are written in one script; `letters` is their size.

    A Chinese character, a kana and a Hangul syllable count as two letters.
    """

    script: str
    words: tuple[str, ...]
    letters: int

    @property
    def text(self) -> str:
        """The words with spaces between, without mathematics and punctuation."""
        return " ".join(self.words)


def script_of(code: str) -> str:
    """The script of a language of `LANGUAGES`."""
    return LANGUAGES[code][1]


@cache
def languages_in(script: str) -> tuple[str, ...]:
    """The codes of the languages written in a script, sorted."""
    return tuple(sorted(code for code in LANGUAGES if script_of(code) == script))


def require_language(code: str) -> str:
    """`code`, if it is the ISO 639-1 code of a known language.

    Raises:
        ValueError: if it is not; the message has the nearest codes.
    """
    if code in LANGUAGES:
        return code
    by_name = {name.lower(): known for known, (name, _) in LANGUAGES.items()}
    names = get_close_matches(code.lower(), by_name, n=2, cutoff=0.7)
    near = [by_name[name] for name in names]
    near += [
        known for known in get_close_matches(code.lower(), LANGUAGES, n=3) if known not in near
    ]
    hint = ", ".join(f"{known!r} ({LANGUAGES[known][0]})" for known in near)
    raise ValueError(
        f"{code!r} is no ISO 639-1 code of a known language; "
        + (f"did you mean {hint}? " if hint else "")
        + f"known are {' '.join(sorted(LANGUAGES))}"
    )


def _required_or_own(code: str) -> str:
    return code if code == OWN_LANGUAGE else require_language(code)


LanguageSetting = Annotated[str, AfterValidator(_required_or_own)]
"""The code of a known language, or `OWN_LANGUAGE`."""


def prose_of(text: str) -> str:
    r"""`text` without mathematics (`$…$`, `\[…\]`, `<<…>>`, LaTeX commands), code, tags and URLs.

    Never raises; of more than `MAX_READ` characters the middle is left out. Linear in what is read.
    """
    if len(text) > MAX_READ:
        text = f"{text[: MAX_READ // 2]}\n{text[-MAX_READ // 2 :]}"
    for close, whole in _PAIRS:
        if (end := text.rfind(close)) >= 0:
            end += len(close)
            text = whole.sub(" ", text[:end]) + text[end:]
    text = text.partition("```")[0]  # code that was not closed
    for sign, taken in _MATH:
        if sign in text:
            text = taken.sub(" ", text)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def segments_of(text: str) -> list[Segment]:
    """The prose of `text`, cut at sentence ends and where the script changes.

    Left out are numbers, single letters of alphabets, up to three Greek letters in a row, and in
    Latin up to four capitals or consonants (`ABC`, `xz`, `kg`).
    """
    prose = prose_of(text)
    sentences = _SENTENCE_END.split(prose)
    if _NOT_LATIN.search(prose) is None:
        return [found for sentence in sentences if (found := _latin(sentence)) is not None]
    return [segment for sentence in sentences for segment in _by_script(sentence)]


@lru_cache(maxsize=8_192)
def _latin(sentence: str) -> Segment | None:
    """Remembered: a group's completions have many sentences in common."""
    words = [word for word in _LATIN_WORD.findall(sentence) if not _SYMBOL.fullmatch(word)]
    return Segment("latin", tuple(words), sum(map(len, words))) if words else None


def _is_word(script: str, run: str) -> bool:
    return len(run) >= _MIN_RUN.get(script, 2) and not (
        script == "latin" and _SYMBOL.fullmatch(run)
    )


def _by_script(sentence: str) -> list[Segment]:
    runs = [(run.lastgroup or "", run.group()) for run in _RUN.finditer(sentence)]
    kept = [(script, word) for script, word in runs if _is_word(script, word)]
    found = []
    for script, group in groupby(kept, key=lambda run: run[0]):
        words = tuple(word for _, word in group)
        letters = sum(map(len, words)) * (2 if script in _WIDE else 1)
        found.append(Segment(script, words, letters))
    return found
