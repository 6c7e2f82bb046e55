"""Paired tests between the answers of two policies to the same problems.

p-values are one-sided unless a name says otherwise; everything random takes its seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.metrics.intervals import (
    RESAMPLES,
    Interval,
    Values,
    as_values,
    check_confidence,
    percentiles,
    resampled_means,
)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Candidate minus incumbent, as the mean over problems.

    `p_value` is one-sided: how often a bootstrap of no difference would gain as much.
    """

    mean: float
    interval: Interval
    p_value: float


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
    check_confidence(confidence)
    differences = _differences(candidate, incumbent)
    means = resampled_means(differences, seed, resamples)
    mean = float(differences.mean())
    return PairedDifference(
        mean, percentiles(means, confidence), _tail_share(means - mean, mean, differences)
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
    means = resampled_means(differences, seed, resamples)
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


def _tail_share(noise: Values, observed: float, differences: Values) -> float:
    """Share of centred means that reach what was observed; the sample itself counts as one."""
    if not differences.any():
        return 1.0
    reached = int(np.count_nonzero(noise >= observed - 1e-12))
    return (reached + 1) / (len(noise) + 1)


def _differences(candidate: Sequence[float], incumbent: Sequence[float]) -> Values:
    if len(candidate) != len(incumbent):
        raise ValueError(
            f"{len(candidate)} values against {len(incumbent)} cannot be paired; "
            "both sides need the same problems in the same order"
        )
    return as_values(candidate) - as_values(incumbent)


def _check_discordant(gained: int, lost: int) -> None:
    if gained < 0 or lost < 0:
        raise ValueError(f"gained={gained}, lost={lost}: counts of problems cannot be negative")
