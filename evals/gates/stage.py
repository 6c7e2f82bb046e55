"""The gate stage: dev decides whether the candidate is promoted, unless a guard got worse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any, ClassVar

import pyarrow.parquet as pq

from evals.attempts import ProblemAttempts, gather
from evals.compare.side_by_side import SideBySideRow, side_by_side
from evals.config import EvalConfig, GateConfig, GuardConfig
from evals.gates.guards import GuardVerdict, check_guard
from evals.gates.looks import Decision, decide, look_at
from evals.gates.paired import Pairs, pair
from evals.gates.regressions import regressions
from evals.summary import summarize
from ratchet.config import identity_settings
from ratchet.progress import Progress, silent
from ratchet.records import EvalRow, to_table
from ratchet.store.artifacts import Artifact, Workspace
from ratchet.store.identity import ArtifactSpec

VERSION = 5
EXAMPLES = "side_by_side.parquet"
_SHOWN = 20
"""Regressions that the manifest lists; the artifact's rows hold all."""
_SIDES = ("incumbent", "candidate")

Draws = Sequence[Artifact]
"""One side's completions, look by look."""


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
class Guarded:
    """A guard, and the completions that it watches."""

    config: GuardConfig
    incumbent: Draws
    candidate: Draws


@dataclass(frozen=True, kw_only=True)
class GateInputs:
    """What is decided on: both sides' completions of dev, look by look, and those of each guard.

    `level` is the alpha that was reserved for this decision. `base` decides nothing, and is shown
    beside the two. `answer` is a person's word, where one decides.
    """

    evaluation: EvalConfig
    looks: tuple[int, ...]
    level: float
    base: Artifact
    incumbent: Draws
    candidate: Draws
    guards: Mapping[str, Guarded] = field(default_factory=dict)
    answer: bool | None = None
    progress: Progress = silent


def spec(config: GateConfig, inputs: GateInputs) -> ArtifactSpec:
    """The decision on this candidate against this incumbent, at this level."""
    guards = {name: identity_settings(each.config) for name, each in inputs.guards.items()}
    sides = {"": inputs, **{f"guard.{name}.": each for name, each in inputs.guards.items()}}
    return ArtifactSpec(
        stage="gate",
        version=VERSION,
        settings={
            **identity_settings(config),
            "guards": guards,
            "looks": list(inputs.looks),
            "level": inputs.level,
            "answer": inputs.answer,
            "confidence": inputs.evaluation.confidence,
            "language": inputs.evaluation.language,
        },
        inputs={
            "base": inputs.base.fingerprint,
            **{
                f"{name}{role}.{at}": artifact.fingerprint
                for name, each in sides.items()
                for role in _SIDES
                for at, artifact in enumerate(getattr(each, role))
            },
        },
    )


def goes_on(config: GateConfig, inputs: GateInputs) -> bool:
    """Whether the looks so far leave it open, so that the next one is to be drawn."""
    at = len(inputs.candidate) - 1
    (pairs,) = _pairs(inputs)[at:]
    return look_at(config, pairs, at, inputs.looks, inputs.level).outcome == "go_on"


def decide_on_dev(config: GateConfig, inputs: GateInputs) -> Decision:
    """What dev alone says; the guards, which cost completions of their own, come after."""
    return decide(config, _pairs(inputs), inputs.looks, inputs.level, inputs.answer)


def check_guards(config: GateConfig, inputs: GateInputs) -> dict[str, GuardVerdict]:
    """What each guard says of the two sides."""
    language = inputs.evaluation.language
    return {
        name: check_guard(
            name,
            each.config,
            config,
            gather(_rows(each.incumbent), language),
            gather(_rows(each.candidate), language),
        )
        for name, each in inputs.guards.items()
    }


def run(config: GateConfig, inputs: GateInputs, out: Workspace) -> dict[str, Any]:
    """Decide, and write the discordant problems and all answers side by side.

    The metrics are the decision, and both sides' figures over all their looks.
    """
    pairs = _pairs(inputs)
    decision = decide_on_dev(config, inputs)
    guards = check_guards(config, inputs)
    out.write_part(0, _discordant(inputs, pairs[-1]), GateRow)
    answers = side_by_side(inputs.base, inputs.incumbent[0], inputs.candidate[0])
    pq.write_table(to_table(answers, SideBySideRow), out.path / EXAMPLES, compression="zstd")
    worse = regressions(pairs[-1])
    return {
        **merged(config, decision, guards),
        **{side: summarize(_rows(getattr(inputs, side)), inputs.evaluation) for side in _SIDES},
        "guards": {name: asdict(guard) for name, guard in guards.items()},
        "regressed": len(worse),
        "regressions": [asdict(each) for each in worse[:_SHOWN]],
        "answer": inputs.answer,
    }


def merged(
    config: GateConfig, decision: Decision, guards: Mapping[str, GuardVerdict]
) -> dict[str, Any]:
    """The decision with the guards' word: any that does not pass keeps the incumbent.

    Where a person decided, the guards were shown, and the person's word holds.
    """
    told = {**asdict(decision), "promoted": decision.promoted}
    failed = [guard for guard in guards.values() if not guard.passed]
    if not failed:
        return told
    told["reason"] = "; ".join([decision.reason, *(guard.reason for guard in failed)])
    if decision.promoted and config.kind != "manual":
        blind = all(guard.verdict == "underpowered" for guard in failed)
        told |= {"promoted": False, "verdict": "underpowered" if blind else "kept"}
    return told


def _rows(draws: Iterable[Artifact]) -> Iterable[EvalRow]:
    return chain.from_iterable(artifact.rows(EvalRow) for artifact in draws)


def _gathered(draws: Draws) -> dict[str, ProblemAttempts]:
    return gather(_rows(draws))


def _pairs(inputs: GateInputs) -> list[Pairs]:
    """The pairs at each look, over all completions up to it."""
    return [
        pair(_gathered(inputs.incumbent[: at + 1]), _gathered(inputs.candidate[: at + 1]))
        for at in range(len(inputs.candidate))
    ]


def _discordant(inputs: GateInputs, dev: Pairs) -> list[GateRow]:
    on_guards = {
        name: pair(_gathered(each.incumbent), _gathered(each.candidate))
        for name, each in inputs.guards.items()
        if each.candidate is not inputs.candidate
    }
    return [
        GateRow(benchmark=name, problem_id=i, incumbent=before, candidate=after)
        for name, pairs in {"dev": dev, **on_guards}.items()
        for i, before, after in zip(pairs.ids, pairs.incumbent, pairs.candidate, strict=True)
        if before != after
    ]
