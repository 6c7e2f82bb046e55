"""Paired tests between the answers of two policies to the same problems.

Differences are candidate minus incumbent, one per problem. p-values are one-sided ("the candidate
is better") unless a name says otherwise. Nothing here is random. SciPy is loaded when first used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.metrics.intervals import Interval, Values, as_values, check_confidence

_NOTHING = 1e-12
"""A standard error below this is rounding: all differences are the same."""
_GUARD_SHARE = 0.8
"""Of a guard's alpha that its t quantile is taken at. On few problems the t approximation lets
through a little more than it says; at this share a loss of twice the margin passes at most at alpha
(measured: docs/gates.md)."""
_FAR = 6.0
"""Beyond so many standard errors the correction for skewness stops growing: it is an expansion that
holds near the middle."""


@dataclass(frozen=True, slots=True)
class PairedT:
    """A paired t-test on the differences of `n` problems.

    `se` is the standard error of `mean`; None where a single problem gives none.
    """

    n: int
    mean: float
    se: float | None
    df: int
    p: float


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """A test of "worse by twice the margin or more"; it passes where `p` is below `level`."""

    n: int
    mean: float
    se: float | None
    p: float
    level: float

    @property
    def passes(self) -> bool:
        return self.p < self.level


def mcnemar_exact(gained: int, lost: int) -> float:
    """One-sided exact p-value that the candidate is better than the incumbent.

    `gained` problems are solved by the candidate alone, `lost` by the incumbent alone. The tail
    P(X >= gained) of X ~ Binomial(gained + lost, 1/2); 1.0 where no problem tells them apart.

    Raises:
        ValueError: if a count is negative.
    """
    return _at_least(gained, _discordant(gained, lost))


def mcnemar_exact_two_sided(gained: int, lost: int) -> float:
    """Two-sided exact p-value that candidate and incumbent differ: McNemar's test, exact form.

    Raises:
        ValueError: if a count is negative.
    """
    return min(1.0, 2 * _at_least(max(gained, lost), _discordant(gained, lost)))


def mcnemar_mid_p(gained: int, lost: int) -> float:
    """One-sided mid-p value: P(X > gained) + P(X = gained) / 2, X ~ Binomial(gained + lost, 1/2).

    Less cautious than the exact test, whose true size is well below its level (Fagerland, Lydersen
    & Laake 2013, https://doi.org/10.1186/1471-2288-13-91). 1.0 where no problem tells them apart.

    Raises:
        ValueError: if a count is negative.
    """
    trials = _discordant(gained, lost)
    if trials == 0:
        return 1.0
    return (_at_least(gained, trials) + _at_least(gained + 1, trials)) / 2


def paired_t(differences: Sequence[float] | Values) -> PairedT:
    """Student's paired t-test that the mean difference is above 0, cautious of rare large losses.

    A few of those, seldom drawn, make both mean and variance look better than they are. So where
    the differences are skewed to the left, t is corrected by Johnson's term, skewness / (6 sqrt(n))
    * (1 + 2 t^2) (Johnson 1978, https://doi.org/10.1080/01621459.1978.10480051); where they are
    skewed to the right, which would help the candidate, it is not.

    p is never below 0.5 ** m for m differences that are not 0: no flipping of their signs could
    show less. So neither a handful of problems nor a variance of 0 is taken for certainty. Where
    all differences are 0, p is 1.

    Raises:
        ValueError: if there are no differences, or one is not finite.
    """
    values = as_values(differences)
    n, mean, se = len(values), float(values.mean()), standard_error(values)
    moved = int(np.count_nonzero(values))
    if moved == 0:
        return PairedT(n, 0.0, se, n - 1, 1.0)
    return PairedT(n, mean, se, n - 1, max(_beyond(0.0, values), 0.5**moved))


def difference_interval(
    differences: Sequence[float] | Values, confidence: float = 0.95
) -> Interval:
    """Student's interval for the mean difference of values that lie in [-1, 1].

    Where all n differences are the same, at most 1 - (1 - confidence)^(1/n) of all problems can be
    expected to differ from them, and those by no more than the ends of the scale.

    Raises:
        ValueError: if there are no differences, or `confidence` is not between 0 and 1.
    """
    check_confidence(confidence)
    values = as_values(differences)
    n, mean, se = len(values), float(values.mean()), standard_error(values)
    if se is None or se == 0:
        unseen = 1 - (1 - confidence) ** (1 / n)
        return Interval(mean - unseen * (1 + mean), mean + unseen * (1 - mean))
    half = t_quantile((1 + confidence) / 2, n - 1) * se
    return Interval(max(-1.0, mean - half), min(1.0, mean + half))


def non_inferiority(
    differences: Sequence[float] | Values, margin: float, alpha: float
) -> NonInferiority:
    """The test of a guard: H0 "worse by twice `margin` or more", a loss below which is shown.

    `paired_t` at 0.8 * alpha of the differences moved by twice the margin: but for its caution with
    skewed ones it passes where mean - t * se > -2 * margin. `margin` is in their unit. p is never
    below (1 - 2 * margin)^n: were twice the margin of all problems lost and the rest the same, n
    problems would show nothing of it that often. So small sets on which nothing happens to differ
    prove nothing.

    Raises:
        ValueError: if `margin` is not above 0, or there are no differences.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin={margin} is no share of 1; two points are margin=0.02")
    values = as_values(differences)
    n, mean, se = len(values), float(values.mean()), standard_error(values)
    p = max(_beyond(-2 * margin, values), unseen_loss(margin, n))
    return NonInferiority(n, mean, se, p, guard_level(alpha))


def guard_level(alpha: float) -> float:
    """The level that a guard's p is compared with: 0.8 * alpha."""
    return _GUARD_SHARE * alpha


def unseen_loss(margin: float, n: int) -> float:
    """How often `n` problems show no loss where twice `margin` of all problems are lost."""
    return float(max(0.0, 1 - 2 * margin) ** n)


def standard_error(values: Values) -> float | None:
    """Of the mean; 0 where the values differ by rounding alone, None where there is just one."""
    if len(values) < 2:
        return None
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return error if error > _NOTHING else 0.0


def t_quantile(share: float, df: int) -> float:
    """The value that a share of Student's t lies below."""
    from scipy.special import stdtrit

    return float(stdtrit(df, share))


def t_share(value: float, df: int) -> float:
    """The share of Student's t below a value."""
    from scipy.special import stdtr

    return float(stdtr(df, value))


def _beyond(null: float, values: Values) -> float:
    """The p-value of a mean above `null`, by t; 1 where one problem gives no standard error."""
    n, mean, se = len(values), float(values.mean()), standard_error(values)
    if se is None:
        return 1.0
    if se == 0:
        return 0.0 if mean - null > _NOTHING else 1.0
    t = (mean - null) / se
    if t > 0:
        skewness = min(0.0, _skewness(values - mean))
        t += skewness / (6 * math.sqrt(n)) * (1 + 2 * min(t, _FAR) ** 2)
    return t_share(-t, n - 1)


def _skewness(centred: Values) -> float:
    squares = centred * centred
    return float((squares * centred).mean() / squares.mean() ** 1.5)


def _at_least(count: int, trials: int) -> float:
    """P(X >= count) for X ~ Binomial(trials, 1/2)."""
    from scipy.special import bdtrc

    return float(bdtrc(count - 1, trials, 0.5))


def _discordant(gained: int, lost: int) -> int:
    if gained < 0 or lost < 0:
        raise ValueError(f"gained={gained}, lost={lost}: counts of problems cannot be negative")
    return gained + lost
