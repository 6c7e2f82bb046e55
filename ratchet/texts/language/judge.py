"""Which language a text is written in, and whether it stays in it.

Scripts decide what they can (`writing_systems`). Languages of one script are told apart by their
words: a sentence's evidence is the sum of its words' evidence, and a word's is what lingua says of
that word alone. Texts share most of their words, so that nearly all of it is looked up; and since
a word's evidence doesn't depend on what was read before, neither does any verdict.

lingua's full models know short words, but take 15-20 MB for each language; its trigrams (low
accuracy) take 60 MB for all. So the full models are loaded for the wanted language and for a few
widespread ones, and the trigrams of all others are asked only where those leave a doubt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.records import GrpoRow, Problem
from ratchet.texts.language.words import (
    CERTAIN_NATS,
    MIN_WORDS,
    NATS_PER_LOGIT,
    PIVOTS,
    Evidence,
    LanguageContest,
    sentence_keys,
    word_keys,
)
from ratchet.texts.language.writing_systems import (
    OWN_LANGUAGE,
    Segment,
    languages_in,
    require_language,
    script_of,
    segments_of,
)

DEFAULT_MIN_CONFIDENCE = 0.8
DEFAULT_MIN_LETTERS = 12

_KANA = range(0x3041, 0x3100)
_ONLY_CHINESE = frozenset("是们這这個个們么麼吗嗎呢给还让买卖钱錢说說时间问题她它您")
"""Characters of everyday Chinese that Japanese writes otherwise or not at all."""
_LONG_WITHOUT_KANA = 8
"""Han characters in a row that no Japanese sentence has without a kana."""
_MIN_LATIN_WORD = 4
"""Letters of a Latin word that is foreign in another script by itself; `km` and `sin` are not."""
_MIN_LATIN_WORDS = 3


@dataclass(frozen=True, slots=True)
class ForeignPart:
    """Words of one sentence in a language that isn't wanted; `language` None: not known which."""

    text: str
    language: str | None
    script: str
    letters: int


@dataclass(frozen=True, slots=True)
class LanguageReading:
    """What language a text is in.

    `language` is that of most of its letters; `confidence` in it is 0 to 1, and of use to compare,
    but no frequency. `share` is the wanted language's part of `letters`. Both `language` and
    `share` are None where the text is too short to judge.
    """

    language: str | None
    confidence: float
    share: float | None
    letters: int
    foreign: tuple[ForeignPart, ...] = ()


class LanguageJudge:
    """Reads texts. Models are loaded on first need: 1 s for the first Latin text.

    `candidates` are the only languages that a text may be found to be in, beside the wanted one;
    None for all. `min_confidence` is how sure it must be that a sentence is in another language;
    below `min_letters` a text isn't judged. Not for use by several threads at once.

    Raises:
        ValueError: if a candidate is no known language.
    """

    def __init__(
        self,
        candidates: Sequence[str] | None = None,
        min_confidence: float = DEFAULT_MIN_CONFIDENCE,
        min_letters: int = DEFAULT_MIN_LETTERS,
    ) -> None:
        self._candidates = None if candidates is None else tuple(map(require_language, candidates))
        self._min_confidence = min_confidence
        self._foreign_lead = -_nats(min_confidence)
        self._min_letters = min_letters
        self._evidence: dict[tuple[bool, tuple[str, ...]], Evidence] = {}
        self._contests: dict[str, LanguageContest] = {}

    def detect(self, text: str) -> tuple[str | None, float]:
        """The language of most of a text, ISO 639-1, and the confidence in it.

        (None, 0.0) where nothing can be said.
        """
        return self._detect(segments_of(text))

    def detect_surely(self, text: str) -> str | None:
        """As `detect`; None where the confidence is below `min_confidence`."""
        language, confidence = self.detect(text)
        return language if confidence >= self._min_confidence else None

    def read(self, text: str, wanted: str | None = None) -> LanguageReading:
        """How much of `text` is in the language `wanted`; None for the text's own main language.

        Raises:
            ValueError: if `wanted` is no known language.
        """
        segments = segments_of(text)
        if wanted is None:
            wanted, _ = self._detect(segments)
            if wanted is None:
                return _too_short(segments)
        foreign, nats = self._foreign_parts(segments, require_language(wanted))
        stray = any(part.script != "latin" and part.script != script_of(wanted) for part in foreign)
        letters = sum(segment.letters for segment in segments)
        if letters < max(self._min_letters, 1) and not stray:
            return _too_short(segments)
        share = 1 - sum(part.letters for part in foreign) / letters
        language, confidence = wanted, _confidence(nats)
        if share < 0.5:
            found, confidence = self._detect(segments)
            language = found or wanted
        return LanguageReading(language, confidence, share, letters, foreign)

    def _foreign_parts(
        self, segments: Sequence[Segment], wanted: str
    ) -> tuple[tuple[ForeignPart, ...], float]:
        """The foreign parts, and the evidence for `wanted` in what is in its script, in nats.

        Where that speaks against it, each sentence that does so too is foreign, however little.
        """
        leads = [self._lead(segment, wanted) for segment in segments]
        home = script_of(wanted)
        pairs = list(zip(segments, leads, strict=True))
        nats = sum(lead for segment, lead in pairs if segment.script == home)
        if nats <= self._foreign_lead:
            foreign = [segment for segment, lead in pairs if lead < 0]
        else:
            foreign = [segment for segment, lead in pairs if lead <= self._foreign_lead]
        return tuple(map(self._foreign_part, foreign)), nats

    def _foreign_part(self, segment: Segment) -> ForeignPart:
        language, _ = self._detect([segment])
        return ForeignPart(segment.text, language, segment.script, segment.letters)

    def _lead(self, segment: Segment, wanted: str) -> float:
        """Nats by which `wanted` leads the likeliest other language; `CERTAIN_NATS` by script."""
        if segment.script != script_of(wanted):
            return -CERTAIN_NATS if _is_prose(segment) else 0.0
        if segment.script == "cjk":
            return _cjk_lead(segment.text, wanted)
        if segment.script not in PIVOTS:
            return CERTAIN_NATS
        keys = sentence_keys(segment)
        return self._contest(wanted).lead(keys)[0] if len(keys) >= MIN_WORDS else 0.0

    def _detect(self, segments: Sequence[Segment]) -> tuple[str | None, float]:
        sizes: dict[str, int] = {}
        for segment in segments:
            sizes[segment.script] = sizes.get(segment.script, 0) + segment.letters
        if not sizes:
            return None, 0.0
        script = max(sizes, key=lambda name: sizes[name])
        main = [segment for segment in segments if segment.script == script]
        if script == "cjk":
            return _cjk_language("".join(segment.text for segment in main)), 1.0
        if script not in PIVOTS:
            return languages_in(script)[0], 1.0
        return self._detect_by_words(script, word_keys(main))

    def _detect_by_words(self, script: str, keys: Sequence[str]) -> tuple[str | None, float]:
        codes = self._full_codes(script)
        if not keys or not codes:
            return None, 0.0
        totals = self._evidence_of(codes, full=True).totals(keys)
        best = codes[max(range(len(codes)), key=totals.__getitem__)]
        contest = self._contest(best)
        lead, rival = contest.lead(keys)
        if lead >= 0 and (rare := contest.rare_lead(keys))[0] <= self._foreign_lead:
            lead, rival = rare
        return (rival, _confidence(-lead)) if lead < 0 else (best, _confidence(lead))

    def _contest(self, wanted: str) -> LanguageContest:
        if wanted not in self._contests:
            script = script_of(wanted)
            full = tuple(sorted({*self._full_codes(script), wanted}))
            trigrams = None
            if self._candidates is None:
                trigrams = self._evidence_of(languages_in(script), full=False)
            self._contests[wanted] = LanguageContest(
                wanted, self._evidence_of(full, full=True), trigrams
            )
        return self._contests[wanted]

    def _full_codes(self, script: str) -> tuple[str, ...]:
        codes = PIVOTS[script] if self._candidates is None else self._candidates
        return tuple(sorted(code for code in codes if script_of(code) == script))

    def _evidence_of(self, codes: tuple[str, ...], full: bool) -> Evidence:
        if (full, codes) not in self._evidence:
            self._evidence[full, codes] = Evidence(codes, full)
        return self._evidence[full, codes]


class WantedLanguages:
    """The language that a problem's completions should be in; each problem is read once.

    `setting` is the code of a language, or `OWN_LANGUAGE`.
    """

    def __init__(self, setting: str, judge: LanguageJudge) -> None:
        self._setting = setting
        self._judge = judge
        self._found: dict[str, str | None] = {}

    def of(self, problem: Problem | GrpoRow) -> str | None:
        """An ISO 639-1 code; None where the problem is too short to tell its own language."""
        if self._setting != OWN_LANGUAGE:
            return self._setting
        if problem.problem_id not in self._found:
            self._found[problem.problem_id] = self._judge.detect_surely(problem.problem)
        return self._found[problem.problem_id]


def _is_prose(segment: Segment) -> bool:
    """False for Latin names and units, which every script's texts have among their words."""
    if segment.script != "latin" or len(segment.words) >= _MIN_LATIN_WORDS:
        return True
    return any(word.islower() and len(word) >= _MIN_LATIN_WORD for word in segment.words)


def _cjk_language(text: str) -> str:
    kana = sum(ord(char) in _KANA for char in text)
    return "ja" if 10 * kana >= len(text) else "zh"


def _cjk_lead(text: str, wanted: str) -> float:
    """`CERTAIN_NATS` where the characters decide, 0 where they could be either language's."""
    kana = sum(ord(char) in _KANA for char in text)
    if kana > 1:
        found = "ja"
    elif len(text) >= _LONG_WITHOUT_KANA or not _ONLY_CHINESE.isdisjoint(text):
        found = "zh"
    else:
        return 0.0
    return CERTAIN_NATS if found == wanted else -CERTAIN_NATS


def _too_short(segments: Sequence[Segment]) -> LanguageReading:
    return LanguageReading(None, 0.0, None, sum(segment.letters for segment in segments))


def _confidence(nats: float) -> float:
    return 1 / (1 + math.exp(-max(min(nats / NATS_PER_LOGIT, 500), -500)))


def _nats(confidence: float) -> float:
    return NATS_PER_LOGIT * math.log(confidence / (1 - confidence))
