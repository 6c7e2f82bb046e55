"""Estimates over the graded completions of one problem: rates are fractions in [0, 1]."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

from evals.metrics.intervals import check_counts


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that at least one of `k` completions drawn from the group is correct.

    Unbiased estimator of Chen et al. 2021 (https://arxiv.org/abs/2107.03374).

    Raises:
        ValueError: if the group is smaller than `k`, `k` is below 1, or the counts contradict.
    """
    check_counts(num_correct, num_samples)
    if not 1 <= k <= num_samples:
        raise ValueError(
            f"pass@{k} of a group of {num_samples} is undefined; choose 1 <= k <= group_size"
        )
    return 1.0 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def mean_at_k(correct: Sequence[bool | None], k: int | None = None) -> float:
    """Share of correct completions among the first `k` of a group (default: all).

    A completion that the grader could not judge (None) counts as not correct.

    Raises:
        ValueError: if the group is empty or smaller than `k`.
    """
    k = len(correct) if k is None else k
    _check_group(len(correct), k)
    return sum(value is True for value in correct[:k]) / k


def maj_at_k(
    answers: Sequence[Hashable | None], correct: Sequence[bool | None], k: int | None = None
) -> float:
    """1.0 if the most frequent answer among the first `k` completions is correct, else 0.0.

    Completions without an answer (None) have no vote. Where answers are tied, the share of the
    tied ones that are correct: what breaking the tie at random gives on average. Answers that
    differ only in spelling should come in one spelling.

    Raises:
        ValueError: if the group is empty or smaller than `k`, or the lengths differ.
    """
    k = len(answers) if k is None else k
    _check_group(len(answers), k)
    verdicts = dict(zip(answers[:k], correct[:k], strict=True))
    votes = Counter(answer for answer in answers[:k] if answer is not None)
    if not votes:
        return 0.0
    winners = [answer for answer, count in votes.items() if count == max(votes.values())]
    return sum(verdicts[answer] is True for answer in winners) / len(winners)


def _check_group(size: int, k: int) -> None:
    if not 1 <= k <= size:
        raise ValueError(f"k={k} of a group of {size} is undefined; choose 1 <= k <= group_size")
