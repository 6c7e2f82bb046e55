"""Problems that two sets share: the same text, or nearly the same words in a row.

Numbers are words here, so that problems from one template with other numbers are told apart: they
share short runs of words, but not most of their 8-grams.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ratchet.records import Problem

DEFAULT_NGRAM = 8
DEFAULT_THRESHOLD = 0.8

_WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+")

Ngrams = set[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Overlap:
    """A problem of set b that one problem of set a holds already.

    `share` is the part of b's n-grams found in that one problem of a; 1.0 for equal text.
    """

    id_a: str
    id_b: str
    kind: Literal["text", "ngram"]
    share: float


def find_overlaps(
    a: Sequence[Problem],
    b: Sequence[Problem],
    ngram: int = DEFAULT_NGRAM,
    threshold: float = DEFAULT_THRESHOLD,
) -> list[Overlap]:
    """The problems of `b` that `a` holds, each with its nearest match, in the order of `b`.

    Text is compared without case, spacing and punctuation. A problem shorter than `ngram` words
    can only match as text. Time is linear in both sets, but for n-grams that many problems share.

    Raises:
        ValueError: if `ngram` is below 1 or `threshold` outside (0, 1].
    """
    if ngram < 1 or not 0 < threshold <= 1:
        raise ValueError(
            f"ngram={ngram}, threshold={threshold}: need ngram >= 1, 0 < threshold <= 1"
        )
    words_a = [words_of(problem.problem) for problem in a]
    words_b = [words_of(problem.problem) for problem in b]
    texts = {tuple(words): row for row, words in reversed(list(enumerate(words_a)))}
    grams_b = [_ngrams(words, ngram) for words in words_b]
    index = _index(words_a, ngram, set().union(*grams_b))
    found = []
    for problem, words, grams in zip(b, words_b, grams_b, strict=True):
        if (row := texts.get(tuple(words))) is not None:
            found.append(Overlap(a[row].problem_id, problem.problem_id, "text", 1.0))
        elif (near := _nearest(grams, index)) and near[1] >= threshold:
            found.append(Overlap(a[near[0]].problem_id, problem.problem_id, "ngram", near[1]))
    return found


def words_of(text: str) -> list[str]:
    """The words and numbers of a text, casefolded; punctuation and symbols are left out."""
    return _WORD.findall(text.casefold())


def _ngrams(words: Sequence[str], n: int) -> Ngrams:
    return {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}


def _index(
    texts: Sequence[Sequence[str]], n: int, wanted: Ngrams
) -> dict[tuple[str, ...], list[int]]:
    """The rows that hold each n-gram of `wanted`."""
    index: dict[tuple[str, ...], list[int]] = {}
    for row, words in enumerate(texts):
        for gram in _ngrams(words, n) & wanted:
            index.setdefault(gram, []).append(row)
    return index


def _nearest(grams: Ngrams, index: dict[tuple[str, ...], list[int]]) -> tuple[int, float] | None:
    """The row that holds most of `grams` (the first of several), and the share it holds."""
    counts = Counter(row for gram in grams for row in index.get(gram, ()))
    if not counts:
        return None
    row = min(counts, key=lambda row: (-counts[row], row))
    return row, counts[row] / len(grams)
