"""Two policies on the same problems: which is better, by how much, and how sure that is.

Paired by problem, because both sides meet the same hard and easy ones: the differences vary less
than the figures do (Miller 2024, https://arxiv.org/abs/2411.00640). Two-sided, as nobody is the
incumbent here; the gate's own decision is one-sided (`evals.gates`).

A completion without a verdict is counted both ways: a figure is the middle of what it is with all
of them wrong and all of them right, and an interval or a p-value is that of the worse case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evals.attempts import ProblemAttempts
from evals.metrics.intervals import Values
from evals.metrics.paired_tests import difference_interval, mcnemar_mid_p, paired_t
from evals.metrics.power import problems_needed, variance_of_gain

TWO_POINTS = 0.02


@dataclass(frozen=True, slots=True)
class DiscordantProblem:
    """A problem on which the two differ whatever the grader could not say; `a` and `b` are the
    shares of their completions that are right."""

    problem_id: str
    a: float
    b: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """B against A on `n` problems, up to `k` completions of each; figures are shares of 1.

    `difference` is b - a with its interval [low, high], `p` the two-sided p-value that they differ:
    McNemar's (mid-p) for one completion of each problem, else of a paired t-test. `gained` and
    `lost` count the discordant problems where B is ahead, and behind. `regressions` are those
    that most of A's completions solve and most of B's do not. `needs_problems` would show a
    difference of the observed size in four of five comparisons, `needs_for_two_points` one of two
    points; None where these problems say nothing of that. `left_out` counts problems that neither
    side could be asked.
    """

    n: int
    k: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    test: Literal["McNemar", "paired t"]
    gained: int
    lost: int
    discordant: tuple[DiscordantProblem, ...]
    regressions: tuple[str, ...]
    unscored_a: int
    unscored_b: int
    left_out: int
    needs_problems: int | None
    needs_for_two_points: int | None
    verdict: Literal["better", "worse", "cannot tell"]
    sentence: str


@dataclass(frozen=True, slots=True)
class _Differences:
    """b - a of each problem, with what has no verdict against B, and for B."""

    lowest: Values
    highest: Values
    single: bool
    """Whether each problem has one completion on either side."""

    @property
    def middle(self) -> Values:
        return (self.lowest + self.highest) / 2

    @property
    def mean(self) -> float:
        return float(self.middle.mean())


def compare(
    incumbent: Mapping[str, ProblemAttempts],
    candidate: Mapping[str, ProblemAttempts],
    *,
    names: tuple[str, str] = ("A", "B"),
    confidence: float = 0.95,
) -> PairedComparison:
    """Compare A (`incumbent`) and B (`candidate`), by problem id; the sentence calls them `names`.

    Raises:
        ValueError: if they were given other problems, or no problem was asked.
    """
    ids = _paired_ids(incumbent, candidate)
    a, b = [incumbent[i] for i in ids], [candidate[i] for i in ids]
    differences = _differences(a, b)
    low, high = _interval(differences, confidence)
    p = _two_sided_p(differences)
    discordant = _discordant(ids, a, b)
    verdict = _verdict(p, low, high, confidence)
    k = max(len(each.attempts) for each in (*a, *b))
    needs = {
        "needs_problems": _needed(differences, differences.mean, k, confidence),
        "needs_for_two_points": _needed(differences, TWO_POINTS, k, confidence),
    }
    return PairedComparison(
        n=len(ids),
        k=k,
        a=_mean(a),
        b=_mean(b),
        difference=differences.mean,
        low=low,
        high=high,
        p=p,
        test="McNemar" if differences.single else "paired t",
        gained=sum(each.b > each.a for each in discordant),
        lost=sum(each.b < each.a for each in discordant),
        discordant=discordant,
        regressions=_regressions(ids, a, b),
        unscored_a=sum(each.unscored for each in a),
        unscored_b=sum(each.unscored for each in b),
        left_out=len(candidate) - len(ids),
        **needs,
        verdict=verdict,
        sentence=_sentence(verdict, names, differences.mean, (low, high, p), needs),
    )


def _paired_ids(
    incumbent: Mapping[str, ProblemAttempts], candidate: Mapping[str, ProblemAttempts]
) -> list[str]:
    if others := incumbent.keys() ^ candidate.keys():
        raise ValueError(
            f"{len(others)} problems were answered by one side alone; only evaluations of the same "
            "problems can be paired"
        )
    ids = [i for i in sorted(candidate) if incumbent[i].was_asked or candidate[i].was_asked]
    if not ids:
        raise ValueError("no problem was asked on either side, so there is nothing to compare")
    return ids


def _differences(a: Sequence[ProblemAttempts], b: Sequence[ProblemAttempts]) -> _Differences:
    pairs = list(zip(a, b, strict=True))
    return _Differences(
        np.array([y.lowest - x.highest for x, y in pairs]),
        np.array([y.highest - x.lowest for x, y in pairs]),
        all(len(x.attempts) == len(y.attempts) == 1 for x, y in pairs),
    )


def _mean(side: Sequence[ProblemAttempts]) -> float:
    return sum((each.lowest + each.highest) / 2 for each in side) / len(side)


def _interval(differences: _Differences, confidence: float) -> tuple[float, float]:
    """Student's: the low end of the lowest differences', the high end of the highest ones'."""
    low = difference_interval(differences.lowest, confidence).low
    return low, difference_interval(differences.highest, confidence).high


def _two_sided_p(differences: _Differences) -> float:
    """Twice the smaller tail, with what has no verdict against either claim."""
    tail = _mcnemar if differences.single else _paired_t
    return min(1.0, 2 * min(tail(differences.lowest), tail(-differences.highest)))


def _mcnemar(differences: Values) -> float:
    return mcnemar_mid_p(int((differences > 0).sum()), int((differences < 0).sum()))


def _paired_t(differences: Values) -> float:
    return paired_t(differences).p


def _discordant(
    ids: Sequence[str], a: Sequence[ProblemAttempts], b: Sequence[ProblemAttempts]
) -> tuple[DiscordantProblem, ...]:
    """Those where no missing verdict could change who is ahead; the largest losses first."""
    found = [
        DiscordantProblem(i, (x.lowest + x.highest) / 2, (y.lowest + y.highest) / 2)
        for i, x, y in zip(ids, a, b, strict=True)
        if y.lowest > x.highest or y.highest < x.lowest
    ]
    return tuple(sorted(found, key=lambda each: (each.b - each.a, each.problem_id)))


def _regressions(
    ids: Sequence[str], a: Sequence[ProblemAttempts], b: Sequence[ProblemAttempts]
) -> tuple[str, ...]:
    trios = zip(ids, a, b, strict=True)
    return tuple(i for i, x, y in trios if x.lowest > 0.5 and y.highest <= 0.5)


def _needed(differences: _Differences, gain: float, k: int, confidence: float) -> int | None:
    """Problems on which four of five comparisons would show `gain`: Miller 2024, section 5.

    With the variance that these problems show at this number of completions.
    """
    middle = differences.middle
    if abs(gain) < 1e-9 or len(middle) < 2 or not middle.any():
        return None
    variance = variance_of_gain(float(middle.var(ddof=1)), abs(gain), k)
    return problems_needed(abs(gain), variance, (1 - confidence) / 2)


def _verdict(
    p: float, low: float, high: float, confidence: float
) -> Literal["better", "worse", "cannot tell"]:
    if p < 1 - confidence and low > 0:
        return "better"
    if p < 1 - confidence and high < 0:
        return "worse"
    return "cannot tell"


def _sentence(
    verdict: str,
    names: tuple[str, str],
    difference: float,
    evidence: tuple[float, float, float],
    needs: Mapping[str, int | None],
) -> str:
    low, high, p = evidence
    a, b = names
    if verdict != "cannot tell":
        nearer, farther = sorted((100 * abs(low), 100 * abs(high)))
        return (
            f"{b} is {verdict} than {a} by {100 * abs(difference):.1f} points "
            f"[{nearer:.1f}, {farther:.1f}], p={p:.2g}"
        )
    told = (
        f"cannot tell {b} from {a}: {100 * difference:+.1f} points "
        f"[{100 * low:+.1f}, {100 * high:+.1f}], p={p:.2g}"
    )
    wanted = [
        f"{count:,} problems to see {what}"
        for what, count in (
            ("a difference of this size", needs["needs_problems"]),
            ("one of 2 points", needs["needs_for_two_points"]),
        )
        if count is not None
    ]
    return "; it would take about ".join([told, " and ".join(wanted)]) if wanted else told
