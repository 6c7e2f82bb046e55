"""Two policies' answers to the same problems, paired.

A completion without a verdict counts against the candidate: as wrong where it is its own, as right
where it is the incumbent's. So a candidate gains nothing by answers that cannot be graded, and
where there are too many there is no decision (docs/decisions/0013-unscored-against-candidate.md).
A problem whose prompt had no room in the engine was put to neither, and is left out of the pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evals.attempts import ProblemAttempts
from evals.config import GateConfig
from evals.metrics.intervals import Interval, Values
from evals.metrics.paired_tests import difference_interval


@dataclass(frozen=True, slots=True)
class Unscored:
    """Completions without a verdict, of `completions` on either side."""

    incumbent: int = 0
    candidate: int = 0
    completions: int = 0

    @property
    def broken(self) -> str | None:
        """That one side could not be graded at all, if so."""
        for whose, count in (("incumbent", self.incumbent), ("candidate", self.candidate)):
            if count and count == self.completions:
                return (
                    f"the grader is broken: none of the {whose}'s {count} completions could be "
                    "graded, so there is nothing to decide on"
                )
        return None

    def objection(self, config: GateConfig) -> str | None:
        """Why they are too many for a decision, if they are."""
        if self.broken:
            return self.broken
        bounds = (
            ("of the incumbent's", self.incumbent, config.max_unscored),
            ("of the candidate's", self.candidate, config.max_unscored),
            (
                "more on one side than on the other, of",
                abs(self.candidate - self.incumbent),
                config.max_unscored_difference,
            ),
        )
        for whose, count, bound in bounds:
            if count > bound * self.completions:
                return (
                    f"{count} {whose} {self.completions} completions could not be graded, more "
                    f"than {bound:.1%}: no decision can be made"
                )
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Each problem's mean of incumbent and candidate, what has no verdict against the candidate.

    `incumbent` and `candidate` are arrays in the order of `ids`; `doubt` is how much higher each
    problem's difference were if what has no verdict were counted for the candidate, None for not
    at all. `completions` are those of each problem on either side, the fewer where they differ.
    """

    ids: tuple[str, ...]
    incumbent: Values
    candidate: Values
    completions: int = 1
    unscored: Unscored = Unscored()
    left_out: int = 0
    doubt: Values | None = None

    @property
    def n(self) -> int:
        return len(self.incumbent)

    @property
    def differences(self) -> Values:
        return self.candidate - self.incumbent

    @property
    def difference(self) -> float:
        return float(self.differences.mean()) if self.n else 0.0

    @property
    def gained(self) -> int:
        return int(np.count_nonzero(self.candidate > self.incumbent))

    @property
    def lost(self) -> int:
        return int(np.count_nonzero(self.candidate < self.incumbent))

    def interval(self, confidence: float = 0.95) -> Interval:
        """Of the difference: its low end with what has no verdict counted against the candidate,
        its high end with it counted for the candidate."""
        if not self.n:
            return Interval(-1.0, 1.0)
        cautious = difference_interval(self.differences, confidence)
        if self.doubt is None:
            return cautious
        return Interval(
            cautious.low, difference_interval(self.differences + self.doubt, confidence).high
        )

    @property
    def note(self) -> str:
        """What of a decision's reason tells of what was not compared."""
        told = ""
        if self.unscored.incumbent + self.unscored.candidate:
            told += (
                "; without a verdict and counted against the candidate: "
                f"{self.unscored.candidate} of its completions, {self.unscored.incumbent} of the "
                "incumbent's"
            )
        if self.left_out:
            told += f"; left out: {self.left_out} problems whose prompts have no room in the engine"
        return told


def pair(
    incumbent: Mapping[str, ProblemAttempts], candidate: Mapping[str, ProblemAttempts]
) -> Pairs:
    """Pair two evaluations of one benchmark by problem_id.

    Raises:
        ValueError: if they are of different problems.
    """
    if incumbent.keys() != candidate.keys():
        raise ValueError(
            f"{len(incumbent.keys() ^ candidate.keys())} problems were answered by one side alone; "
            "only evaluations of the same problems can be paired"
        )
    ids = tuple(i for i in sorted(candidate) if incumbent[i].was_asked or candidate[i].was_asked)
    before, after = [incumbent[i] for i in ids], [candidate[i] for i in ids]
    unscored = Unscored(
        sum(problem.unscored for problem in before),
        sum(problem.unscored for problem in after),
        sum(len(problem.attempts) for problem in after),
    )
    doubt = None
    if unscored.incumbent + unscored.candidate:
        spans = (
            (b.highest - b.lowest) + (a.highest - a.lowest)
            for b, a in zip(before, after, strict=True)
        )
        doubt = np.fromiter(spans, np.float64, len(ids))
    return Pairs(
        ids,
        np.array([problem.highest for problem in before], dtype=np.float64),
        np.array([problem.lowest for problem in after], dtype=np.float64),
        min((len(problem.attempts) for problem in (*before, *after)), default=1),
        unscored,
        left_out=len(candidate) - len(ids),
        doubt=doubt,
    )
