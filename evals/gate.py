"""The gate: a candidate is promoted only when a paired test says that it is better.

One completion per problem: exact McNemar on the discordant problems. Several: a paired bootstrap
over problems. Guards: a non-inferiority test with a margin. All tests are one-sided, because only
"better" (or "not worse") promotes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow.parquet as pq

from evals.config import GateConfig, GuardConfig
from evals.side_by_side import SideBySideRow, side_by_side
from evals.summary import problem_means
from ratchet.config import identity_settings
from ratchet.identity import ArtifactSpec
from ratchet.metrics import mcnemar_exact, non_inferiority_p, paired_bootstrap
from ratchet.progress import Progress, silent
from ratchet.records import EvalRow, to_table
from ratchet.store import Artifact, Workspace

VERSION = 2
EXAMPLES = "side_by_side.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One problem on which incumbent and candidate differ (per-problem mean correctness)."""

    SCHEMA: ClassVar[str] = "gate/1"

    benchmark: str
    problem_id: str
    incumbent: float
    candidate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the candidate becomes the incumbent, and the numbers behind it.

    `difference` is the candidate's mean minus the incumbent's over the paired problems.
    """

    promoted: bool
    reason: str
    test: str | None = None
    p: float | None = None
    gained: int = 0
    lost: int = 0
    pairs: int = 0
    unscored_pairs: int = 0
    difference: float | None = None


@dataclass(frozen=True, slots=True)
class Pairs:
    """Per-problem means of incumbent and candidate on the problems scored for both."""

    ids: tuple[str, ...]
    incumbent: tuple[float, ...]
    candidate: tuple[float, ...]
    unscored: int

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


def pair(incumbent: Mapping[str, float], candidate: Mapping[str, float], total: int) -> Pairs:
    """Pair two evaluations of the same benchmark of `total` problems by problem_id."""
    ids = tuple(sorted(incumbent.keys() & candidate.keys()))
    return Pairs(
        ids,
        tuple(incumbent[i] for i in ids),
        tuple(candidate[i] for i in ids),
        total - len(ids),
    )


def decide(config: GateConfig, pairs: Pairs) -> Decision:
    """Promote or keep, by the configured test on dev."""
    numbers: dict[str, Any] = {
        "gained": pairs.gained,
        "lost": pairs.lost,
        "pairs": len(pairs.ids),
        "unscored_pairs": pairs.unscored,
        "difference": pairs.difference,
    }
    total = len(pairs.ids) + pairs.unscored
    if pairs.unscored > config.max_unscored * total:
        reason = (
            f"{pairs.unscored} of {total} pairs could not be graded, more than "
            f"{config.max_unscored:.1%}: no decision can be made"
        )
        return Decision(promoted=False, reason=reason, **numbers)
    test = config.test
    if test == "auto":
        test = "mcnemar" if pairs.binary else "bootstrap"
    if test == "mcnemar":
        p = mcnemar_exact(pairs.gained, pairs.lost)
        label = f"McNemar, {pairs.gained} gained, {pairs.lost} lost"
    else:
        p = paired_bootstrap(pairs.candidate, pairs.incumbent, seed=0).p_value
        label = f"paired bootstrap, {100 * pairs.difference:+.1f} points"
    reason = f"p={p:.2g} ({label})"
    return Decision(promoted=p < config.alpha, reason=reason, test=test, p=p, **numbers)


def check_guard(name: str, config: GuardConfig, pairs: Pairs) -> Decision:
    """Whether the candidate is not worse than the incumbent by `margin` on a guard."""
    p = non_inferiority_p(pairs.candidate, pairs.incumbent, config.margin, seed=0)
    reason = (
        f"guard {name}: {100 * pairs.difference:+.1f} points, "
        f"p={p:.2g} for a loss under {100 * config.margin:g}"
    )
    return Decision(
        promoted=p < config.alpha,
        reason=reason,
        test="non_inferiority",
        p=p,
        gained=pairs.gained,
        lost=pairs.lost,
        pairs=len(pairs.ids),
        unscored_pairs=pairs.unscored,
        difference=pairs.difference,
    )


@dataclass(frozen=True, kw_only=True)
class GateInputs:
    """Evaluations of incumbent and candidate: dev first, then each guard by name.

    `base` is the base model's on dev: it decides nothing, and is shown beside the two.
    """

    base: Artifact
    incumbent: Artifact
    candidate: Artifact
    num_problems: int
    guards: Mapping[str, tuple[GuardConfig, Artifact, Artifact, int]]
    redo: int = 0
    progress: Progress = silent


def spec(config: GateConfig, inputs: GateInputs) -> ArtifactSpec:
    """The decision on this candidate against this incumbent."""
    guards = {name: identity_settings(guard) for name, (guard, *_) in inputs.guards.items()}
    fingerprints = {
        f"guard.{name}.{role}": artifact.fingerprint
        for name, (_, *artifacts, _) in inputs.guards.items()
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
    pairs = _pairs(inputs.incumbent, inputs.candidate, inputs.num_problems)
    decision = decide(config, pairs)
    rows = _discordant("dev", pairs)
    guards = {}
    for name, (guard, incumbent, candidate, total) in inputs.guards.items():
        guard_pairs = _pairs(incumbent, candidate, total)
        guards[name] = check_guard(name, guard, guard_pairs)
        rows += _discordant(name, guard_pairs)
    out.write_part(0, rows, GateRow)
    answers = side_by_side(inputs.base, inputs.incumbent, inputs.candidate)
    pq.write_table(to_table(answers, SideBySideRow), out.path / EXAMPLES, compression="zstd")
    return {**_merge(decision, list(guards.values())), "guards": _as_dicts(guards)}


def _pairs(incumbent: Artifact, candidate: Artifact, total: int) -> Pairs:
    before, after = (problem_means(a.rows(EvalRow)) for a in (incumbent, candidate))
    return pair(before, after, total)


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
