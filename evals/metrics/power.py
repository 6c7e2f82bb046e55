"""What a paired test can see: power, problems and completions that would do.

The variance of a problem's difference at K completions a side is split as

    variance(K) = between + within / K

`between` is how much the true differences vary from problem to problem, `within` the sum of both
sides' sampling variances, means over problems of p * (1 - p) (Miller 2024,
https://arxiv.org/abs/2411.00640). Gains, margins and levels are shares (0.02: two points), and
variances those of one problem's difference. SciPy is loaded when first used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from evals.metrics.intervals import Values
from evals.metrics.paired_tests import guard_level, t_quantile, t_share, unseen_loss

_MOST_PROBLEMS = 10_000_000
_PRIOR_BETA = (0.6, 0.5)
_PRIOR_NOISE = 0.5


@dataclass(frozen=True, slots=True)
class VarianceSplit:
    """The variance of a problem's difference, split by whether more completions shrink it."""

    between: float
    within: float

    def at(self, k: int) -> float:
        """The variance of a problem's difference with `k` completions on either side."""
        return self.between + self.within / k


def split_of(incumbent: Values, candidate: Values, k: int) -> VarianceSplit | None:
    """The split, measured: each side's means of `k` completions per problem, in the same order.

    None where one completion cannot tell sampling from a true difference, or there is one problem.
    """
    if k < 2 or len(incumbent) < 2:
        return None
    sides = (incumbent, candidate)
    within = sum(float((means * (1 - means)).mean()) for means in sides) * k / (k - 1)
    total = float((candidate - incumbent).var(ddof=1))
    return VarianceSplit(max(0.0, total - within / k), within)


def smallest_gain_seen(n: int, variance: float, level: float, power: float = 0.8) -> float:
    """The smallest true gain that a one-sided t-test at `level` promotes with chance `power`.

    `n` problems; `variance` of one problem's difference (`prior_variance(k)` before anything was
    measured); `level` that of the last look: the decision's times `spend_of(gate, looks)[-1]`, so
    that the earlier looks' chances come on top. Infinite where nothing could be seen: level 0, or
    so few problems that not even a gain on each would do.

    (t_{1-level} + t_power) * sqrt(variance / n), with n - 1 degrees of freedom.
    """
    errors = _in_errors(n, level, power)
    return errors * math.sqrt(variance / n) if errors < math.inf else math.inf


def problems_needed(gain: float, variance: float, level: float, power: float = 0.8) -> int | None:
    """The fewest problems on which a test at `level` sees `gain` with chance `power`.

    None where ten million would not do (level 0).
    """
    return _fewest(lambda n: smallest_gain_seen(n, variance, level, power) <= gain)


def completions_needed(
    gain: float, n: int, split: VarianceSplit, level: float, power: float = 0.8, at_most: int = 256
) -> int | None:
    """The fewest completions of each of `n` problems, on either side, that would see `gain`.

    None where `at_most` would not do: then only more problems help.
    """
    errors = _in_errors(n, level, power)
    if errors == math.inf:
        return None
    for k in range(1, at_most + 1):
        variance = variance_of_gain(split.at(k), gain, k)
        if errors * math.sqrt(variance / n) <= gain:
            return k
    return None


def variance_of_gain(variance: float, gain: float, k: int) -> float:
    """`variance`, and at least what a mean difference of `gain` has by necessity.

    With `k` completions a difference is a multiple of 1 / k, so a mean of `gain` below that varies
    by gain * (1 / k - gain) or more. It counts where hardly any problem differed: that says nothing
    of how much a candidate that gains would.
    """
    return max(variance, gain * (1 / k - gain))


def chance_unchanged_passes(margin: float, n: int, variance: float, alpha: float) -> float:
    """The chance that a candidate that is exactly as good passes a guard.

    `margin` as in the guard's config, `n` its problems, `variance` of one problem's difference
    (`prior_variance(k)`), `alpha` the guard's. Below 0.9 a guard is called underpowered: it would
    refuse harmless candidates.
    """
    level = guard_level(alpha)
    if n < 2 or unseen_loss(margin, n) >= level:
        return 0.0
    if variance == 0:
        return 1.0
    distance = 2 * margin / math.sqrt(variance / n)
    return t_share(distance - t_quantile(1 - level, n - 1), n - 1)


def problems_for_guard(
    margin: float, variance: float, alpha: float, chance: float = 0.9
) -> int | None:
    """The fewest problems on which an unchanged candidate passes a guard with `chance`."""
    return _fewest(lambda n: chance_unchanged_passes(margin, n, variance, alpha) >= chance)


def prior_variance(k: int) -> float:
    """The variance to expect of a problem's difference at `k` completions, nothing measured yet.

    By a simple model of pass rates: the incumbent's p ~ Beta(0.6, 0.5), the candidate's with noise
    of standard deviation 0.5 on the logit. About 0.27 at one completion and 0.04 at eight.
    """
    return prior_split().at(k)


@cache
def prior_split() -> VarianceSplit:
    """`prior_variance`, split; by quadrature (4,000 quantiles, 32 nodes of the noise)."""
    from scipy.special import betaincinv, expit, logit

    before = betaincinv(*_PRIOR_BETA, (np.arange(4000) + 0.5) / 4000)
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    after = expit(logit(before)[:, None] + _PRIOR_NOISE * nodes)
    weights = weights / weights.sum()
    moved = after - before[:, None]
    between = (moved**2 @ weights).mean() - (moved @ weights).mean() ** 2
    within = (before * (1 - before)).mean() + (after * (1 - after) @ weights).mean()
    return VarianceSplit(float(between), float(within))


def _in_errors(n: int, level: float, power: float) -> float:
    """The smallest gain seen, in standard errors; infinite where no gain could be."""
    if n < 2 or level <= 0.5**n:
        return math.inf
    return t_quantile(1 - level, n - 1) + t_quantile(power, n - 1)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """The smallest n for which a condition holds that stays true once it is; None for none."""
    high = 2
    while not enough(high):
        if high > _MOST_PROBLEMS:
            return None
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
