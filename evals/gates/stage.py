"""The gate stage: dev decides whether the candidate is promoted, unless a guard got worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow.parquet as pq

from evals.attempts import gather
from evals.compare.side_by_side import SideBySideRow, side_by_side
from evals.config import GateConfig, GuardConfig
from evals.gates.guards import check_guard
from evals.gates.paired import Decision, Pairs, decide, pair
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


@dataclass(frozen=True, kw_only=True)
class GateInputs:
    """Evaluations of incumbent and candidate: dev first, then each guard by name.

    `base` is the base model's on dev: it decides nothing, and is shown beside the two.
    """

    base: Artifact
    incumbent: Artifact
    candidate: Artifact
    guards: Mapping[str, tuple[GuardConfig, Artifact, Artifact]]
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
        settings={**identity_settings(config), "guards": guards},
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
    before, after = (gather(a.rows(EvalRow)) for a in (incumbent, candidate))
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
