"""Estimates over the graded completions of one problem: rates are fractions in [0, 1].

Verdicts are settled here: True or False. `both_ways` is the one rule for a completion that has
none: each estimate is made as if all of those were wrong, and as if all were right.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from evals.metrics.intervals import check_counts


@dataclass(frozen=True, slots=True)
class Bounds:
    """One problem's value: were all completions without a verdict wrong, and were they right."""

    low: float
    high: float


def both_ways(
    correct: Sequence[bool | None], estimate: Callable[[Sequence[bool]], float]
) -> Bounds:
    """The estimate with every None taken as wrong, and with every None taken as right."""
    low = estimate([value is True for value in correct])
    return Bounds(low, estimate([value is not False for value in correct]))


def mean(correct: Sequence[bool]) -> float:
    """Share of correct completions: mean@k of a group of k.

    Raises:
        ValueError: if the group is empty.
    """
    _check_group(len(correct), len(correct))
    return sum(correct) / len(correct)


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that at least one of `k` completions drawn from the group is correct.

    Unbiased estimator of Chen et al. 2021 (https://arxiv.org/abs/2107.03374).

    Raises:
        ValueError: if the group is smaller than `k`, `k` is below 1, or the counts contradict.
    """
    check_counts(num_correct, num_samples)
    _check_group(num_samples, k)
    return 1.0 - math.comb(num_samples - num_correct, k) / math.comb(num_samples, k)


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4, … up to `most`: the k that pass@k is told for."""
    return [1 << power for power in range(most.bit_length())]


def maj_at_k(
    answers: Sequence[Hashable | None], correct: Sequence[bool], k: int | None = None
) -> float:
    """1.0 if the most frequent answer among the first `k` completions is correct, else 0.0.

    Right answers are one answer, however they are spelled, and so are those spelled like a right
    one; wrong ones should come in one spelling. A wrong completion without an answer (None) has no
    vote. Where answers are tied, the share of the tied ones that are correct: what breaking the tie
    at random gives on average.

    Raises:
        ValueError: if the group is empty or smaller than `k`, or the lengths differ.
    """
    k = len(answers) if k is None else k
    _check_group(len(answers), k)
    ballots = list(zip(answers, correct, strict=True))[:k]
    right = {answer for answer, is_right in ballots if is_right} - {None}
    votes = Counter(
        (True, None) if is_right or answer in right else (False, answer)
        for answer, is_right in ballots
        if is_right or answer is not None
    )
    if not votes:
        return 0.0
    winners = [is_right for (is_right, _), count in votes.items() if count == max(votes.values())]
    return sum(winners) / len(winners)


def best_of_k(correct: Sequence[bool], rewards: Sequence[float], k: int | None = None) -> float:
    """Probability that the completion of largest reward among `k` drawn from the group is correct.

    The mean over all subsets of `k`: the largest reward lies among the completions of one reward r
    in C(n_up_to_r, k) - C(n_below_r, k) of the C(n, k) subsets. Completions of the same reward are
    equally likely to be chosen.

    Raises:
        ValueError: if the group is empty or smaller than `k`, or the lengths differ.
    """
    k = len(correct) if k is None else k
    _check_group(len(correct), k)
    by_reward: dict[float, list[bool]] = defaultdict(list)
    for is_right, reward in zip(correct, rewards, strict=True):
        by_reward[reward].append(is_right)
    total, below = 0.0, 0
    for reward in sorted(by_reward):
        alike = by_reward[reward]
        subsets = math.comb(below + len(alike), k) - math.comb(below, k)
        total += subsets / math.comb(len(correct), k) * sum(alike) / len(alike)
        below += len(alike)
    return total


def _check_group(size: int, k: int) -> None:
    if not 1 <= k <= size:
        raise ValueError(f"k={k} of a group of {size} is undefined; choose 1 <= k <= group_size")
