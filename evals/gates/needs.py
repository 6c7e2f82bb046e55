"""What a gate lacked to see the gain that would be worth having."""

from __future__ import annotations

from dataclasses import dataclass

from evals.gates.paired import Pairs
from evals.metrics.power import (
    completions_needed,
    prior_variance,
    problems_needed,
    smallest_gain_seen,
    split_of,
    variance_of_gain,
)


@dataclass(frozen=True, slots=True)
class Needs:
    """What would see `gain` with 80 % power, by the variance that was measured.

    `problems` with as many completions of each as there were, or `completions` of each of these
    problems; None for what would not do, or can't be told.
    """

    gain: float
    problems: int | None
    completions: int | None

    @property
    def words(self) -> str:
        ways = []
        if self.problems:
            ways.append(f"{self.problems:,} problems")
        if self.completions:
            ways.append(f"{self.completions} completions of each")
        return f"; to see {100 * self.gain:+g} points: {' or '.join(ways)}" if ways else ""


def needs_of(pairs: Pairs, high: float, gain: float, level: float) -> Needs | None:
    """What was lacking to see `gain` at `level`; None where nothing was.

    Nothing was where the test would have seen it with 80 % power, or where it is excluded: `high`,
    the upper end of the difference's interval, lies below. At level 0 nothing would help.
    """
    k = pairs.completions
    observed = float(pairs.differences.var(ddof=1)) if pairs.n > 1 else prior_variance(k)
    variance = variance_of_gain(observed, gain, k)
    if high < gain or smallest_gain_seen(pairs.n, variance, level) <= gain:
        return None
    split = split_of(pairs.incumbent, pairs.candidate, k)
    more = completions_needed(gain, pairs.n, split, level) if split else None
    problems = problems_needed(gain, variance, level)
    return Needs(gain, problems, more if more and more > k else None)
