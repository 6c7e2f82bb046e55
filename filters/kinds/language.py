"""The language filter: a completion is written in one language, and in the wanted one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from filters.base import UNSCORED, FilterBase, FilterContext, Mark, short_note
from ratchet.records import Completion, Problem
from ratchet.texts.language.judge import (
    DEFAULT_MIN_CONFIDENCE,
    DEFAULT_MIN_LETTERS,
    LanguageJudge,
    LanguageReading,
    WantedLanguages,
)
from ratchet.texts.language.writing_systems import (
    OWN_LANGUAGE,
    LanguageSetting,
    require_language,
    script_of,
)


class LanguageConfig(FilterBase):
    """Which language, and how much of others is let pass."""

    kind: Literal["language"] = "language"
    language: LanguageSetting = OWN_LANGUAGE
    """An ISO 639-1 code; or "problem": the language that the problem itself is in. Where a problem
    is too short to tell, a completion need only keep to its own language."""
    min_confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = DEFAULT_MIN_CONFIDENCE
    """How sure the judge must be that a sentence is in another language, or which language the
    problem is in."""
    max_foreign_share: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.02
    """Share of letters in sentences of another language, or in words of another script."""
    max_stray_letters: Annotated[int, Field(ge=0)] = 0
    """Letters in a script that the wanted language isn't written in; a Chinese character counts
    two. Latin apart, which stands for names and units everywhere: `max_foreign_share` holds it."""
    min_letters: Annotated[int, Field(ge=1)] = DEFAULT_MIN_LETTERS
    """A completion with fewer letters outside of mathematics is accepted as `unscored`."""
    candidates: tuple[str, ...] | None = None
    """The only other languages to look for, ISO 639-1; fewer are faster to load. All, if left
    out."""

    @field_validator("candidates")
    @classmethod
    def _all_known(cls, candidates: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if candidates is not None and not candidates:
            raise ValueError("an empty list leaves no language to look for; leave it out for all")
        return None if candidates is None else tuple(map(require_language, candidates))


class Language:
    """Accepts `wanted_language` and `unscored`; else `wrong_language` (most of the text),
    `mixed_scripts` (foreign parts in another script only, or stray letters) or `code_switched`.

    The reward is the wanted language's share of the letters.
    """

    def __init__(self, config: LanguageConfig, _context: FilterContext) -> None:
        self._config = config
        self._judge = LanguageJudge(config.candidates, config.min_confidence, config.min_letters)
        self._wanted = WantedLanguages(config.language, self._judge)

    def mark(self, problem: Problem, completion: Completion) -> Mark:
        """One completion's mark; the note is the language seen, or the foreign part."""
        wanted = self._wanted.of(problem)
        reading = self._judge.read(completion.completion, wanted)
        if reading.share is None or reading.language is None:
            return Mark(True, UNSCORED)
        fault = self._fault(reading, reading.share, wanted or reading.language)
        if fault is None:
            return Mark(True, "wanted_language", reading.share, reading.language)
        note = reading.language if fault == "wrong_language" else _foreign_note(reading)
        return Mark(False, fault, reading.share, note)

    def _fault(self, reading: LanguageReading, share: float, wanted: str) -> str | None:
        if reading.language != wanted:
            return "wrong_language"
        away = [part for part in reading.foreign if part.script != script_of(wanted)]
        stray = sum(part.letters for part in away if part.script != "latin")
        if stray > self._config.max_stray_letters:
            return "mixed_scripts"
        if 1 - share > self._config.max_foreign_share:
            return "mixed_scripts" if len(away) == len(reading.foreign) else "code_switched"
        return None


def _foreign_note(reading: LanguageReading) -> str:
    part = max(reading.foreign, key=lambda part: part.letters)
    return f"{part.language or 'unknown'}: {short_note(part.text)}"
