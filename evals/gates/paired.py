"""Two policies' answers to the same problems, paired, and the decision between them.

One completion per problem: exact McNemar on the discordant problems. Several: a paired bootstrap
over problems. All tests are one-sided, because only "better" promotes.

A completion without a verdict counts against the candidate: as wrong where it is its own, as right
where it is the incumbent's. So a candidate gains nothing by answers that cannot be graded, and
where there are too many there is no decision (docs/decisions/0013-unscored-against-candidate.md).
A problem whose prompt had no room in the engine was put to neither, and is left out of the pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evals.attempts import ProblemAttempts
from evals.config import GateConfig
from evals.metrics.paired_tests import mcnemar_exact, paired_bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the candidate becomes the incumbent, and the numbers behind it.

    `difference` is the candidate's mean minus the incumbent's over the paired problems, with what
    has no verdict counted against the candidate; `unscored_...` counts those completions, and
    `left_out` the problems that neither side was asked.
    """

    promoted: bool
    reason: str
    test: str | None = None
    p: float | None = None
    gained: int = 0
    lost: int = 0
    pairs: int = 0
    unscored_incumbent: int = 0
    unscored_candidate: int = 0
    left_out: int = 0
    difference: float | None = None


@dataclass(frozen=True, slots=True)
class Unscored:
    """Completions without a verdict, of `completions` on either side."""

    incumbent: int = 0
    candidate: int = 0
    completions: int = 0

    def objection(self, config: GateConfig) -> str | None:
        """Why they are too many for a decision, if they are."""
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


@dataclass(frozen=True, slots=True)
class Pairs:
    """Per-problem means of incumbent and candidate, what has no verdict against the candidate."""

    ids: tuple[str, ...]
    incumbent: tuple[float, ...]
    candidate: tuple[float, ...]
    unscored: Unscored = Unscored()
    left_out: int = 0

    @property
    def gained(self) -> int:
        return sum(c > i for i, c in zip(self.incumbent, self.candidate, strict=True))

    @property
    def lost(self) -> int:
        return sum(c < i for i, c in zip(self.incumbent, self.candidate, strict=True))

    @property
    def difference(self) -> float:
        return (sum(self.candidate) - sum(self.incumbent)) / max(len(self.ids), 1)

    @property
    def binary(self) -> bool:
        return all(value in (0.0, 1.0) for value in (*self.incumbent, *self.candidate))

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

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Decision` that need no test."""
        return {
            "gained": self.gained,
            "lost": self.lost,
            "pairs": len(self.ids),
            "unscored_incumbent": self.unscored.incumbent,
            "unscored_candidate": self.unscored.candidate,
            "left_out": self.left_out,
            "difference": self.difference,
        }


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
    return Pairs(
        ids,
        tuple(incumbent[i].highest for i in ids),
        tuple(candidate[i].lowest for i in ids),
        Unscored(
            sum(incumbent[i].unscored for i in ids),
            sum(candidate[i].unscored for i in ids),
            sum(len(candidate[i].attempts) for i in ids),
        ),
        left_out=len(candidate) - len(ids),
    )


def decide(config: GateConfig, pairs: Pairs) -> Decision:
    """Promote or keep, by the configured test on dev."""
    if objection := pairs.unscored.objection(config):
        return Decision(promoted=False, reason=objection, **pairs.numbers())
    test = config.test
    if test == "auto":
        test = "mcnemar" if pairs.binary else "bootstrap"
    if test == "mcnemar":
        p = mcnemar_exact(pairs.gained, pairs.lost)
        label = f"McNemar, {pairs.gained} gained, {pairs.lost} lost"
    else:
        p = paired_bootstrap(pairs.candidate, pairs.incumbent, seed=0).p_value
        label = f"paired bootstrap, {100 * pairs.difference:+.1f} points"
    reason = f"p={p:.2g} ({label}){pairs.note}"
    return Decision(promoted=p < config.alpha, reason=reason, test=test, p=p, **pairs.numbers())
