"""Problems that two sets share: the same text, or nearly the same words in a row.

Measured as decontamination measures texts (`ratchet.texts.contamination`), but in both directions,
so that a short problem is found inside a long one whichever set it is in. Numbers and signs are
words here, and the runs are longer: problems from one template with other numbers are told apart,
since they share short runs of words but not most of their 8-grams.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ratchet.records import Problem
from ratchet.texts.contamination import BenchmarkIndex
from ratchet.texts.plain_words import plain_words

DEFAULT_NGRAM = 8
DEFAULT_THRESHOLD = 0.8


@dataclass(frozen=True, slots=True)
class Overlap:
    """A problem of set a that shares its text, or most of it, with one of set b.

    `share` is the part of the one's n-grams found in the other, in the direction in which it is
    larger; 1.0 for equal text.
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
    """The problems of `a` that hold one of `b` or are held by one, each with its nearest match.

    In the order of `a`; the same problems whichever set is called `a`. A problem shorter than
    `ngram` words must stand in the other word for word. Time is linear in both sets, but for
    n-grams that many problems share.

    Raises:
        ValueError: if `ngram` is below 1 or `threshold` outside (0, 1].
    """
    nearest: dict[str, tuple[str, float]] = {}
    for id_a, id_b, share in _pairs(a, b, ngram, threshold):
        if share > nearest.get(id_a, ("", 0.0))[1]:
            nearest[id_a] = id_b, share
    texts_b = {problem.problem_id: problem.problem for problem in b}
    return [
        _overlap(problem, texts_b, *nearest[problem.problem_id])
        for problem in a
        if problem.problem_id in nearest
    ]


def _pairs(
    a: Sequence[Problem], b: Sequence[Problem], ngram: int, threshold: float
) -> Iterator[tuple[str, str, float]]:
    """Ids of a problem of `a` and one of `b` of which one holds the other, and the share held."""
    of_a = BenchmarkIndex({"a": a}, ngram, threshold)
    of_b = BenchmarkIndex({"b": b}, ngram, threshold)
    for problem in a:
        for match in of_b.held(problem.problem):
            yield problem.problem_id, match.problem_id, match.share
    for problem in b:
        for match in of_a.held(problem.problem):
            yield match.problem_id, problem.problem_id, match.share


def _overlap(problem: Problem, texts_b: Mapping[str, str], id_b: str, share: float) -> Overlap:
    is_same = plain_words(problem.problem) == plain_words(texts_b[id_b])
    return Overlap(problem.problem_id, id_b, "text" if is_same else "ngram", share)
