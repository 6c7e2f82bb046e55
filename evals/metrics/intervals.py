"""Intervals of rates and means, in the unit of what they estimate.

SciPy takes a second to import, so that only the functions that need it do so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
_BLOCK = 1 << 22
"""Random indices held at once by a bootstrap: 32 MiB."""
_FEW = 64
"""Distinct values up to which how often each is drawn is drawn, and not each problem."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, in the unit of what it estimates."""

    low: float
    high: float


def rate_interval(rates: Sequence[float], confidence: float = 0.95) -> Interval:
    """The interval of the mean of one rate per problem, each between 0 and 1.

    Wilson's where each rate is 0 or 1, else a bootstrap over problems. A single rate between them
    tells nothing of how rates differ: (0, 1).

    Raises:
        ValueError: if there are no rates, or `confidence` is not between 0 and 1.
    """
    check_confidence(confidence)
    values = as_values(rates)
    if np.isin(values, (0.0, 1.0)).all():
        return wilson_interval(int(values.sum()), len(values), confidence)
    if len(values) == 1:
        return Interval(0.0, 1.0)
    return bootstrap_interval(values, seed=0, confidence=confidence)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion; (0, 1) where nothing was measured.

    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953

    Raises:
        ValueError: if the counts contradict, or `confidence` is not between 0 and 1.
    """
    from scipy.stats import binomtest

    check_confidence(confidence)
    check_counts(successes, n)
    if n == 0:
        return Interval(0.0, 1.0)
    found = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(float(found.low), float(found.high))


def t_interval(values_per_problem: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's interval for the mean over problems; for what has no bounds, such as a length.

    Raises:
        ValueError: if there are less than two values, or `confidence` is not between 0 and 1.
    """
    from scipy.stats import t

    check_confidence(confidence)
    values = as_values(values_per_problem)
    if len(values) < 2:
        raise ValueError("one value has no spread; an interval of a mean needs at least two")
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    half = error * float(t.ppf((1 + confidence) / 2, len(values) - 1))
    return Interval(float(values.mean()) - half, float(values.mean()) + half)


def bootstrap_interval(
    values_per_problem: Sequence[float] | Values,
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
    """Means of `resamples` samples drawn from `values` with replacement.

    Means over a few completions take few values: their numbers in a sample are multinomial, which
    comes to the same, and to a tenth of the time for a thousand problems.
    """
    if resamples < 1:
        raise ValueError(f"resamples={resamples} gives no interval; 10000 is usual")
    rng, n = np.random.default_rng(seed), len(values)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= _FEW:
        means: Values = rng.multinomial(n, counts / n, size=resamples) @ distinct / n
        return means
    rows = max(1, _BLOCK // n)
    blocks = [min(rows, resamples - done) for done in range(0, resamples, rows)]
    return np.concatenate([values[rng.integers(n, size=(size, n))].mean(axis=1) for size in blocks])


def percentiles(means: Values, confidence: float) -> Interval:
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def as_values(values: Sequence[float] | Values) -> Values:
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
