"""The gate stage: dev decides whether the candidate is promoted, unless a guard got worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import pyarrow.parquet as pq

from evals.attempts import ProblemAttempts, gather, joined
from evals.compare.side_by_side import SideBySideRow, side_by_side
from evals.config import EvalConfig, GateConfig, GuardConfig
from evals.gates.guards import GuardVerdict, check_guard
from evals.gates.looks import Decision, decide, look_at
from evals.gates.paired import Pairs, pair
from evals.gates.regressions import regressions
from evals.summary import metrics_of
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
DrawLook = Callable[[int], tuple[Artifact, Artifact]]
"""Draws what a look (from 0) adds: the incumbent's completions and the candidate's."""


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
    beside the two; left out, the incumbent is. `answer` is a person's word, where one decides.
    """

    evaluation: EvalConfig
    looks: tuple[int, ...]
    level: float
    base: Artifact | None = None
    incumbent: Draws = ()
    candidate: Draws = ()
    guards: Mapping[str, Guarded] = field(default_factory=dict)
    answer: bool | None = None
    progress: Progress = silent

    @property
    def shown_base(self) -> Artifact:
        return self.base or self.incumbent[0]


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
            "base": inputs.shown_base.fingerprint,
            **{
                f"{name}{role}.{at}": artifact.fingerprint
                for name, each in sides.items()
                for role in _SIDES
                for at, artifact in enumerate(getattr(each, role))
            },
        },
    )


def look_by_look(config: GateConfig, inputs: GateInputs, draw: DrawLook) -> GateInputs:
    """The inputs with both sides' looks, drawn one after the other until it is clear."""
    for at in range(len(inputs.looks)):
        held, drawn = draw(at)
        inputs = replace(
            inputs, incumbent=(*inputs.incumbent, held), candidate=(*inputs.candidate, drawn)
        )
        pairs = _pairs(inputs, _Reader())[-1]
        if look_at(config, pairs, at, inputs.looks, inputs.level).outcome != "go_on":
            break
    return inputs


def decide_on_dev(config: GateConfig, inputs: GateInputs) -> Decision:
    """What dev alone says; the guards, which cost completions of their own, come after."""
    return _decide(config, inputs, _Reader())


def decide_with_guards(config: GateConfig, inputs: GateInputs) -> dict[str, Any]:
    """The decision and the guards' word on it, as the stage's metrics have them."""
    reader = _Reader(inputs.evaluation.language)
    decision = _decide(config, inputs, reader)
    return merged(config, decision, _check_guards(config, inputs, reader))


def run(config: GateConfig, inputs: GateInputs, out: Workspace) -> dict[str, Any]:
    """Decide, and write the discordant problems and all answers side by side.

    The metrics are the decision, and both sides' figures over all their looks.
    """
    reader = _Reader(inputs.evaluation.language)
    dev = _pairs(inputs, reader)[-1]
    guards = _check_guards(config, inputs, reader)
    out.write_part(0, _discordant(inputs, dev, reader), GateRow)
    answers = side_by_side(inputs.shown_base, inputs.incumbent[0], inputs.candidate[0])
    pq.write_table(to_table(answers, SideBySideRow), out.path / EXAMPLES, compression="zstd")
    worse = regressions(dev)
    return {
        **merged(config, _decide(config, inputs, reader), guards),
        **{
            side: metrics_of(reader.problems(getattr(inputs, side)), inputs.evaluation)
            for side in _SIDES
        },
        "guards": {name: asdict(guard) for name, guard in guards.items()},
        "regressed": len(worse),
        "regressions": [asdict(each) for each in worse[:_SHOWN]],
        "answer": inputs.answer,
    }


def _decide(config: GateConfig, inputs: GateInputs, reader: _Reader) -> Decision:
    pairs = _pairs(inputs, reader)
    return decide(config, pairs, inputs.looks, inputs.level, inputs.answer)


def _check_guards(
    config: GateConfig, inputs: GateInputs, reader: _Reader
) -> dict[str, GuardVerdict]:
    """What each guard says of the two sides."""
    return {
        name: check_guard(
            name, each.config, config, *map(reader.problems, (each.incumbent, each.candidate))
        )
        for name, each in inputs.guards.items()
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


class _Reader:
    """Reads each draw once, whoever asks for it."""

    def __init__(self, language: str = "") -> None:
        self._language = language
        self._read: dict[str, dict[str, ProblemAttempts]] = {}

    def problems(self, draws: Draws) -> dict[str, ProblemAttempts]:
        """The attempts of all the draws, by problem."""
        return joined([self._draw(draw) for draw in draws])

    def _draw(self, draw: Artifact) -> dict[str, ProblemAttempts]:
        if draw.identity not in self._read:
            self._read[draw.identity] = gather(draw.rows(EvalRow), self._language)
        return self._read[draw.identity]


def _pairs(inputs: GateInputs, reader: _Reader) -> list[Pairs]:
    """The pairs at each look, over all completions up to it."""
    return [
        pair(
            reader.problems(inputs.incumbent[: at + 1]), reader.problems(inputs.candidate[: at + 1])
        )
        for at in range(len(inputs.candidate))
    ]


def _discordant(inputs: GateInputs, dev: Pairs, reader: _Reader) -> list[GateRow]:
    on_guards = {
        name: pair(reader.problems(each.incumbent), reader.problems(each.candidate))
        for name, each in inputs.guards.items()
        if each.candidate is not inputs.candidate
    }
    return [
        GateRow(benchmark=name, problem_id=i, incumbent=before, candidate=after)
        for name, pairs in {"dev": dev, **on_guards}.items()
        for i, before, after in zip(pairs.ids, pairs.incumbent, pairs.candidate, strict=True)
        if before != after
    ]
