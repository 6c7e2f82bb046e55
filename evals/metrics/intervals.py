"""Intervals of rates and means, in the unit of what they estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion; (0, 1) where nothing was measured.

    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953

    Raises:
        ValueError: if the counts contradict, or `confidence` is not between 0 and 1.
    """
    check_confidence(confidence)
    check_counts(successes, n)
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
    check_confidence(confidence)
    values = as_values(values_per_problem)
    return percentiles(resampled_means(values, seed, resamples), confidence)


def resampled_means(values: Values, seed: int, resamples: int) -> Values:
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


def percentiles(means: Values, confidence: float) -> Interval:
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def as_values(values: Sequence[float]) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError("no values: a mean needs at least one problem")
    if not np.isfinite(array).all():
        raise ValueError("a value is not finite; leave out or settle what could not be graded")
    return array


def check_counts(successes: int, n: int) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} cannot be; counts need 0 <= successes <= n")


def check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} is no share; 95 % is confidence=0.95")
