"""The gate: a candidate is promoted only when a paired test says that it is better.

One completion per problem: exact McNemar on the discordant problems. Several: a paired bootstrap
over problems. Guards: a non-inferiority test with a margin. All tests are one-sided, because only
"better" (or "not worse") promotes.

A completion without a verdict counts against the candidate: as wrong where it is its own, as right
where it is the incumbent's. So a candidate gains nothing by answers that cannot be graded, and
where there are too many there is no decision (docs/decisions/0013-unscored-against-candidate.md).
A problem whose prompt had no room in the engine was put to neither, and is left out of the pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow.parquet as pq

from evals.config import GateConfig, GuardConfig
from evals.metrics.paired_tests import mcnemar_exact, non_inferiority_p, paired_bootstrap
from evals.side_by_side import SideBySideRow, side_by_side
from evals.summary import ProblemCount, tally
from ratchet.config import identity_settings
from ratchet.progress import Progress, silent
from ratchet.records import EvalRow, to_table
from ratchet.store.artifacts import Artifact, Workspace
from ratchet.store.identity import ArtifactSpec

VERSION = 4
EXAMPLES = "side_by_side.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One problem on which incumbent and candidate differ (per-problem mean correctness, with what
    has no verdict counted against the candidate)."""

    SCHEMA: ClassVar[str] = "gate/1"

    benchmark: str
    problem_id: str
    incumbent: float
    candidate: float


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


def pair(incumbent: Mapping[str, ProblemCount], candidate: Mapping[str, ProblemCount]) -> Pairs:
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
            sum(candidate[i].attempts for i in ids),
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


def check_guard(name: str, config: GuardConfig, gate: GateConfig, pairs: Pairs) -> Decision:
    """Whether the candidate is not worse than the incumbent by `margin` on a guard.

    `gate` bounds what may be without a verdict, as it does on dev.
    """
    if objection := pairs.unscored.objection(gate):
        return Decision(promoted=False, reason=f"guard {name}: {objection}", **pairs.numbers())
    p = non_inferiority_p(pairs.candidate, pairs.incumbent, config.margin, seed=0)
    reason = (
        f"guard {name}: {100 * pairs.difference:+.1f} points, "
        f"p={p:.2g} for a loss under {100 * config.margin:g}{pairs.note}"
    )
    return Decision(
        promoted=p < config.alpha,
        reason=reason,
        test="non_inferiority",
        p=p,
        **pairs.numbers(),
    )


@dataclass(frozen=True, kw_only=True)
class GateInputs:
    """Evaluations of incumbent and candidate: dev first, then each guard by name.

    `base` is the base model's on dev: it decides nothing, and is shown beside the two.
    """

    base: Artifact
    incumbent: Artifact
    candidate: Artifact
    guards: Mapping[str, tuple[GuardConfig, Artifact, Artifact]]
    redo: int = 0
    progress: Progress = silent


def spec(config: GateConfig, inputs: GateInputs) -> ArtifactSpec:
    """The decision on this candidate against this incumbent."""
    guards = {name: identity_settings(guard) for name, (guard, *_) in inputs.guards.items()}
    fingerprints = {
        f"guard.{name}.{role}": artifact.fingerprint
        for name, (_, *artifacts) in inputs.guards.items()
        for role, artifact in zip(("incumbent", "candidate"), artifacts, strict=True)
    }
    return ArtifactSpec(
        stage="gate",
        version=VERSION,
        settings={
            **identity_settings(config),
            "guards": guards,
            **({"redo": inputs.redo} if inputs.redo else {}),
        },
        inputs={
            "base": inputs.base.fingerprint,
            "incumbent": inputs.incumbent.fingerprint,
            "candidate": inputs.candidate.fingerprint,
            **fingerprints,
        },
    )


def run(config: GateConfig, inputs: GateInputs, out: Workspace) -> dict[str, Any]:
    """Decide, and write the discordant problems and all answers side by side.

    The metrics are the decision.
    """
    pairs = _pairs(inputs.incumbent, inputs.candidate)
    decision = decide(config, pairs)
    rows = _discordant("dev", pairs)
    guards = {}
    for name, (guard, incumbent, candidate) in inputs.guards.items():
        guard_pairs = _pairs(incumbent, candidate)
        guards[name] = check_guard(name, guard, config, guard_pairs)
        rows += _discordant(name, guard_pairs)
    out.write_part(0, rows, GateRow)
    answers = side_by_side(inputs.base, inputs.incumbent, inputs.candidate)
    pq.write_table(to_table(answers, SideBySideRow), out.path / EXAMPLES, compression="zstd")
    return {**_merge(decision, list(guards.values())), "guards": _as_dicts(guards)}


def _pairs(incumbent: Artifact, candidate: Artifact) -> Pairs:
    before, after = (tally(a.rows(EvalRow)).problems for a in (incumbent, candidate))
    return pair(before, after)


def _discordant(benchmark: str, pairs: Pairs) -> list[GateRow]:
    columns = zip(pairs.ids, pairs.incumbent, pairs.candidate, strict=True)
    return [
        GateRow(benchmark=benchmark, problem_id=i, incumbent=before, candidate=after)
        for i, before, after in columns
        if before != after
    ]


def _merge(decision: Decision, guards: Sequence[Decision]) -> dict[str, Any]:
    failed = [guard.reason for guard in guards if not guard.promoted]
    merged = _as_dict(decision)
    if decision.promoted and failed:
        merged["promoted"] = False
        merged["reason"] = "; ".join([decision.reason, *failed])
    return merged


def _as_dict(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in Decision.__dataclass_fields__}


def _as_dicts(decisions: Mapping[str, Decision]) -> dict[str, Any]:
    return {name: _as_dict(decision) for name, decision in decisions.items()}
