"""What a sentence's words say of its language: lingua's evidence, word by word, remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from ratchet.texts.language.writing_systems import Segment

PIVOTS = {
    "latin": ("de", "en", "es", "fr", "it", "pt", "sw"),
    "cyrillic": ("bg", "ru", "sr", "uk"),
    "arabic": ("ar", "fa", "ur"),
    "devanagari": ("hi", "mr"),
}
"""Languages whose full models are loaded once a text is written in their script."""
KIN = tuple(
    frozenset(codes.split())
    for codes in ("bs hr sr", "cs sk", "da nb nn", "id ms", "st tn", "xh zu")
)
"""Languages too close to be told apart in a sentence; none is foreign to another of its group."""
NATS_PER_LOGIT = 4.0
"""Evidence is divided by this to give a confidence, as a word's n-grams overlap. So chosen that at
0.8 about 1 in 100 of GSM8K's solutions has a sentence that is wrongly held foreign."""
TRIGRAM_WEIGHT = 0.5
"""Of the trigrams' evidence, which errs about as often at twice the nats."""
SURE_NATS_PER_WORD = 2.0
"""A sentence that leads by so much needs no trigrams; 9 of 10 in GSM8K lead so."""
MAX_NATS_PER_WORD = 8.0
CERTAIN_NATS = 100.0
"""What the script alone decides."""
NAME_WEIGHT = 0.5
"""Of a word in capitals inside a sentence: a name says little of the language around it."""
MIN_WORDS = 2
"""A sentence of fewer different words is not judged by them; "gallons" may be French."""
MAX_KNOWN_WORDS = 50_000
"""Words whose evidence is kept, for each set of languages: about 20 MB."""
MAX_KNOWN_SENTENCES = 20_000
"""Sentences whose lead is kept, for each wanted language: about 10 MB."""


class LanguageContest:
    """One wanted language against the others of its script."""

    def __init__(self, wanted: str, full: Evidence, trigrams: Evidence | None) -> None:
        kin = next((group for group in KIN if wanted in group), frozenset((wanted,)))
        self._full = full
        self._at = full.codes.index(wanted)
        self._leads: dict[tuple[str, ...], tuple[float, str | None]] = {}
        self._others = [at for at, code in enumerate(full.codes) if code not in kin]
        self._trigrams = None
        if trigrams is not None:
            self._trigrams = trigrams
            self._trigrams_at = trigrams.codes.index(wanted)
            known = kin.union(full.codes)
            self._rest = [at for at, code in enumerate(trigrams.codes) if code not in known]

    def lead(self, keys: Sequence[str]) -> tuple[float, str | None]:
        """Nats by which the words speak for the wanted language, and the likeliest other one.

        Remembered: the completions of a group have sentences in common.
        """
        words = tuple(keys)
        if words not in self._leads:
            if len(self._leads) >= MAX_KNOWN_SENTENCES:
                self._leads.clear()
            self._leads[words] = self._find_lead(words)
        return self._leads[words]

    def _find_lead(self, keys: Sequence[str]) -> tuple[float, str | None]:
        if not self._others:
            return CERTAIN_NATS, None
        totals = self._full.totals(keys)
        best = max(self._others, key=totals.__getitem__)
        lead = (totals[self._at] - totals[best], self._full.codes[best])
        if lead[0] >= SURE_NATS_PER_WORD * len(keys):
            return lead
        return min(lead, self.rare_lead(keys))

    def rare_lead(self, keys: Sequence[str]) -> tuple[float, str]:
        """The same by trigrams, against the languages whose full models aren't loaded."""
        if self._trigrams is None or not self._rest:
            return CERTAIN_NATS, ""
        totals = self._trigrams.totals(keys)
        best = max(self._rest, key=totals.__getitem__)
        lead = totals[self._trigrams_at] - totals[best]
        return TRIGRAM_WEIGHT * lead, self._trigrams.codes[best]


class Evidence(dict[str, tuple[float, ...]]):
    """Word -> the nats by which each language falls behind the word's likeliest."""

    def __init__(self, codes: tuple[str, ...], full: bool) -> None:
        from lingua import IsoCode639_1, LanguageDetectorBuilder

        super().__init__()
        self.codes = codes
        self._full = full
        self._detector = None
        if len(codes) > 1:  # lingua refuses a single language
            isos = [IsoCode639_1.from_str(code) for code in codes]
            builder = LanguageDetectorBuilder.from_iso_codes_639_1(*isos)
            self._detector = (builder if full else builder.with_low_accuracy_mode()).build()

    def totals(self, keys: Sequence[str]) -> list[float]:
        """The sum over words, one number for each of `codes`."""
        return [sum(column) for column in zip(*[self[key] for key in keys], strict=True)]

    def __missing__(self, word: str) -> tuple[float, ...]:
        if len(self) >= MAX_KNOWN_WORDS:
            self.clear()
        self[word] = found = self._look_up(word)
        return found

    def _look_up(self, word: str) -> tuple[float, ...]:
        nothing = (0.0,) * len(self.codes)
        if self._detector is None:
            return nothing
        values = self._detector.compute_language_confidence_values(word.lower())
        if (top := values[0].value) <= 0:  # no word, or too short for trigrams
            return nothing
        # Full models: lingua divides a text's evidence by the number of its different letters.
        sharpness = len(set(word)) if self._full else 1
        weight = NAME_WEIGHT if word[0].isupper() else 1.0
        nats = {
            value.language.iso_code_639_1.name.lower(): sharpness * math.log(value.value / top)
            for value in values
            if value.value > 0
        }
        lowest = -MAX_NATS_PER_WORD
        # Rounded, as lingua's last digits differ from call to call.
        return tuple(round(weight * max(nats.get(code, lowest), lowest), 3) for code in self.codes)


@lru_cache(maxsize=8_192)
def sentence_keys(segment: Segment) -> tuple[str, ...]:
    """The `word_keys` of one sentence, remembered."""
    return tuple(word_keys([segment]))


def word_keys(segments: Sequence[Segment]) -> list[str]:
    """The different words; the first of a sentence without its capital."""
    keys: dict[str, None] = {}
    for segment in segments:
        keys[segment.words[0].lower()] = None
        keys.update(dict.fromkeys(segment.words[1:]))
    return list(keys)
