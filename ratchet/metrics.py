"""Estimates over graded completions, their intervals, and the paired tests of the gate.

Rates are fractions in [0, 1], p-values are one-sided unless a name says otherwise, and everything
random takes its seed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
_BLOCK = 1 << 22
"""Random indices held at once by a bootstrap: 32 MiB."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, in the unit of what it estimates."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Candidate minus incumbent, as the mean over problems.

    `p_value` is one-sided: how often a bootstrap of no difference would gain as much.
    """

    mean: float
    interval: Interval
    p_value: float


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that at least one of `k` completions drawn from the group is correct.

    Unbiased estimator of Chen et al. 2021 (https://arxiv.org/abs/2107.03374).

    Raises:
        ValueError: if the group is smaller than `k`, `k` is below 1, or the counts contradict.
    """
    _check_counts(num_correct, num_samples)
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


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion; (0, 1) where nothing was measured.

    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953

    Raises:
        ValueError: if the counts contradict, or `confidence` is not between 0 and 1.
    """
    _check_confidence(confidence)
    _check_counts(successes, n)
    if n == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return Interval(low, 1.0 if successes == n else min(1.0, centre + half))


def bootstrap_interval(
    values_per_problem: Sequence[float],
    seed: int,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Percentile bootstrap interval for the mean over problems.

    Problems are what is drawn again; `values_per_problem` holds one mean per problem, so that the
    completions of one problem stay together.

    Raises:
        ValueError: if there are no values, or `confidence` is not between 0 and 1.
    """
    _check_confidence(confidence)
    values = _as_values(values_per_problem)
    return _percentiles(_resampled_means(values, seed, resamples), confidence)


def mcnemar_exact(gained: int, lost: int) -> float:
    """One-sided exact p-value that the candidate is better than the incumbent.

    `gained` problems are solved by the candidate alone, `lost` by the incumbent alone. The tail
    P(X >= gained) of X ~ Binomial(gained + lost, 1/2); 1.0 where no problem tells them apart.

    Raises:
        ValueError: if a count is negative.
    """
    _check_discordant(gained, lost)
    return _binomial_tail(gained, gained + lost)


def mcnemar_exact_two_sided(gained: int, lost: int) -> float:
    """Two-sided exact p-value that candidate and incumbent differ: McNemar's test, exact form.

    Raises:
        ValueError: if a count is negative.
    """
    _check_discordant(gained, lost)
    return min(1.0, 2 * _binomial_tail(max(gained, lost), gained + lost))


def paired_bootstrap(
    candidate: Sequence[float],
    incumbent: Sequence[float],
    seed: int,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
) -> PairedDifference:
    """The difference of two policies' means over the same problems, with its one-sided p-value.

    Both sides hold one mean per problem, in the same order. The p-value comes from resampling the
    centred differences, the interval from percentiles of the uncentred ones (Efron & Tibshirani
    1993, chapters 13 and 16); it is never below 1 / (resamples + 1).

    Raises:
        ValueError: if there are no values, or the sides differ in length.
    """
    _check_confidence(confidence)
    differences = _differences(candidate, incumbent)
    means = _resampled_means(differences, seed, resamples)
    mean = float(differences.mean())
    return PairedDifference(
        mean, _percentiles(means, confidence), _tail_share(means - mean, mean, differences)
    )


def non_inferiority_p(
    candidate: Sequence[float],
    incumbent: Sequence[float],
    margin: float,
    seed: int,
    *,
    resamples: int = RESAMPLES,
) -> float:
    """One-sided p-value that the candidate is at most `margin` worse: the test of a guard.

    `margin` is in absolute points of the mean, as a fraction (0.02: two points). Small p: shown
    not to be worse than that. The null, "worse by `margin` or more", is tested by resampling the
    differences moved so that their mean is exactly -`margin`.

    Raises:
        ValueError: if `margin` is negative, there are no values, or the sides differ in length.
    """
    if not 0 <= margin <= 1:
        raise ValueError(f"margin={margin} is no share of 1; two points are margin=0.02")
    differences = _differences(candidate, incumbent)
    mean = float(differences.mean())
    means = _resampled_means(differences, seed, resamples)
    return _tail_share(means - mean, mean + margin, differences + margin)


def _binomial_tail(at_least: int, trials: int) -> float:
    """P(X >= at_least) for X ~ Binomial(trials, 1/2), exact until the last division."""
    if trials == 0:
        return 1.0
    term = math.comb(trials, at_least)
    total = term
    for successes in range(at_least, trials):
        term = term * (trials - successes) // (successes + 1)
        total += term
    return total / (1 << trials)


def _resampled_means(values: Values, seed: int, resamples: int) -> Values:
    """Means of `resamples` samples drawn from `values` with replacement."""
    if resamples < 1:
        raise ValueError(f"resamples={resamples} gives no interval; 10000 is usual")
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // len(values))
    blocks = [min(rows, resamples - done) for done in range(0, resamples, rows)]
    return np.concatenate(
        [
            values[rng.integers(len(values), size=(size, len(values)))].mean(axis=1)
            for size in blocks
        ]
    )


def _tail_share(noise: Values, observed: float, differences: Values) -> float:
    """Share of centred means that reach what was observed; the sample itself counts as one."""
    if not differences.any():
        return 1.0
    reached = int(np.count_nonzero(noise >= observed - 1e-12))
    return (reached + 1) / (len(noise) + 1)


def _percentiles(means: Values, confidence: float) -> Interval:
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _differences(candidate: Sequence[float], incumbent: Sequence[float]) -> Values:
    if len(candidate) != len(incumbent):
        raise ValueError(
            f"{len(candidate)} values against {len(incumbent)} cannot be paired; "
            "both sides need the same problems in the same order"
        )
    return _as_values(candidate) - _as_values(incumbent)


def _as_values(values: Sequence[float]) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError("no values: a mean needs at least one problem")
    if not np.isfinite(array).all():
        raise ValueError("a value is not finite; leave out or settle what could not be graded")
    return array


def _check_counts(successes: int, n: int) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} cannot be; counts need 0 <= successes <= n")


def _check_group(size: int, k: int) -> None:
    if not 1 <= k <= size:
        raise ValueError(f"k={k} of a group of {size} is undefined; choose 1 <= k <= group_size")


def _check_discordant(gained: int, lost: int) -> None:
    if gained < 0 or lost < 0:
        raise ValueError(f"gained={gained}, lost={lost}: counts of problems cannot be negative")


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} is no share; 95 % is confidence=0.95")
