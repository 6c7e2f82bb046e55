"""Does a text hold a problem? Word n-grams of plain words, hashed and indexed.

The one measure of overlap, for the texts that decontamination looks at and for the problems of two
sets (`ratchet.problems.overlap`). It is the share of the problem's n-grams that the text holds, so
a problem inside a long text is found as well as one alone. A few changed words cost at most `ngram`
n-grams each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from ratchet.records import Problem
from ratchet.texts.plain_words import plain_words

MEASURE_VERSION = 2
"""Raised when the same texts begin to share more, or less."""
DEFAULT_NGRAM = 5
DEFAULT_THRESHOLD = 0.35
"""With 5-grams, a name that was changed in three places of 30 words still leaves this much."""
MIN_WORDS = 3
"""A problem of fewer words is found only where it is the whole text: "Find x." is everywhere."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Match:
    """A benchmark problem that a text holds, or holds most of.

    `share` is the part of its n-grams that the text holds; `is_held` says whether that is enough.
    """

    benchmark: str
    problem_id: str
    share: float
    is_held: bool


@dataclass(frozen=True, slots=True)
class _Grams:
    """Hashed n-grams of all problems: `rows[starts[i]:starts[i + 1]]` hold `keys[i]`, sorted.

    `seen[h % len(seen)]` is True for every hash h here, and for few others: one look into it
    spares most searches.
    """

    keys: Ints
    starts: Ints
    rows: Ints
    seen: npt.NDArray[np.bool_]

    def rows_of(self, hashes: set[int]) -> Ints:
        """The rows that hold each of `hashes`, a row once for each hash."""
        wanted = np.fromiter(hashes, np.int64, len(hashes))
        wanted = wanted[self.seen[wanted & (len(self.seen) - 1)]]
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found = at[self.keys[at] == wanted].tolist()
        held = [self.rows[self.starts[i] : self.starts[i + 1]] for i in found]
        return np.concatenate(held) if held else self.rows[:0]


class BenchmarkIndex:
    """The problems of all benchmarks, ready to be looked for in texts.

    Holds 64-bit hashes, some 50 bytes for each n-gram, and each distinct word once. Picklable, and
    the same in every process: words are numbered, and hashes of numbers are not salted.
    """

    def __init__(
        self,
        benchmarks: Mapping[str, Sequence[Problem]],
        ngram: int = DEFAULT_NGRAM,
        threshold: float = DEFAULT_THRESHOLD,
    ) -> None:
        """
        Raises:
            ValueError: if `ngram` is below 1 or `threshold` outside (0, 1].
        """
        if ngram < 1 or not 0 < threshold <= 1:
            raise ValueError(
                f"ngram={ngram}, threshold={threshold}: need ngram >= 1, 0 < threshold <= 1"
            )
        self._ngram = ngram
        self._names: list[tuple[str, str]] = []
        self._numbers: dict[str, int] = {}
        self._wholes: dict[int, list[int]] = {}
        texts = list(self._read(benchmarks))
        shorts = [words for words in texts if MIN_WORDS <= len(words) < ngram]
        self._short_sizes = sorted({len(words) for words in shorts})
        self._short_starts = {words[0] for words in shorts}
        grams = [
            _hashed(words, min(len(words), ngram)) if len(words) >= min(ngram, MIN_WORDS) else set()
            for words in texts
        ]
        self._counts = np.array([max(1, len(held)) for held in grams], np.int64)
        self._needed = np.maximum(
            np.ceil(threshold * self._counts - 1e-9), np.minimum(self._counts, ngram)
        )
        self._grams = _collected(grams)

    def __len__(self) -> int:
        """The number of problems."""
        return len(self._names)

    def nearest(self, text: str) -> Match | None:
        """The problem that `text` holds, or else comes nearest to; None where nothing is shared.

        A problem is held if the text has `threshold` of its n-grams, and at least `ngram` of them
        or all: one common phrase makes no overlap with a short problem. A problem of fewer words
        than `ngram` must stand in the text word for word.
        """
        words = self._words_of(text)
        if wholes := self._wholes.get(hash(tuple(words))):
            return self._match(wholes[0], 1.0, is_held=True)
        hits = self._hits(words)
        if not len(hits):
            return None
        held = np.bincount(hits, minlength=len(self._counts))
        shares = held / self._counts
        enough = held >= self._needed
        best = int((shares + enough).argmax())
        return self._match(best, float(shares[best]), is_held=bool(enough[best]))

    def held(self, text: str) -> list[Match]:
        """Every problem that `text` holds, in the benchmarks' order."""
        words = self._words_of(text)
        wholes = self._wholes.get(hash(tuple(words)), [])
        counts = np.bincount(self._hits(words), minlength=len(self._counts))
        shares = {
            int(row): float(counts[row] / self._counts[row])
            for row in np.flatnonzero(counts >= self._needed)
        }
        shares |= dict.fromkeys(wholes, 1.0)
        return [self._match(row, shares[row], is_held=True) for row in sorted(shares)]

    def _words_of(self, text: str) -> list[int]:
        return [self._numbers.get(word, 0) for word in plain_words(text)]

    def _read(self, benchmarks: Mapping[str, Sequence[Problem]]) -> Iterator[list[int]]:
        """Each problem as numbers of words, from 1; 0 is a word that no problem has."""
        for name, problems in benchmarks.items():
            for problem in problems:
                words = [
                    self._numbers.setdefault(word, len(self._numbers) + 1)
                    for word in plain_words(problem.problem)
                ]
                if words:
                    self._wholes.setdefault(hash(tuple(words)), []).append(len(self._names))
                self._names.append((name, problem.problem_id))
                yield words

    def _hits(self, words: Sequence[int]) -> Ints:
        """The rows of all n-grams that the text shares, a row once for each n-gram."""
        found = _hashed(words, self._ngram)
        for at in [at for at, word in enumerate(words) if word in self._short_starts]:
            found.update(hash(tuple(words[at : at + size])) for size in self._short_sizes)
        return self._grams.rows_of(found)

    def _match(self, row: int, share: float, *, is_held: bool) -> Match:
        benchmark, problem_id = self._names[row]
        return Match(benchmark, problem_id, share, is_held)


def _hashed(words: Sequence[int], n: int) -> set[int]:
    """The hashes of the runs of `n` words; signed 64 bits, and unlike for unlike `n`."""
    return set(map(hash, zip(*(islice(words, start, None) for start in range(n)), strict=False)))


def _collected(grams: Sequence[set[int]]) -> _Grams:
    count = sum(map(len, grams))
    hashes = np.fromiter((gram for held in grams for gram in held), np.int64, count)
    rows = np.repeat(np.arange(len(grams)), [len(held) for held in grams])
    order = np.lexsort((rows, hashes))
    keys, starts = np.unique(hashes[order], return_index=True)
    seen = np.zeros(1 << (16 * count).bit_length(), np.bool_)
    seen[keys & (len(seen) - 1)] = True
    return _Grams(keys, np.append(starts, count), rows[order], seen)
