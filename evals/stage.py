"""The eval stage: one checkpoint's completions on one benchmark, graded, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from evals.config import EvalConfig
from evals.summary import summarize
from ratchet.config import identity_settings
from ratchet.generation.drawing import Asker, Drawing, DrawnProblem, fill_shards
from ratchet.generation.engine import Completer
from ratchet.generation.prompt_room import PromptRoom, too_long_in
from ratchet.generation.shards import ShardPlan, Throughput
from ratchet.generation.strategy import Independent
from ratchet.policy import Policy
from ratchet.problems.grading import GradingRules, OutcomeScorer
from ratchet.progress import Progress, silent
from ratchet.records import EvalRow, Problem
from ratchet.store.artifacts import Workspace
from ratchet.store.identity import ArtifactSpec, derive_seed
from ratchet.verifier.grader import Grader

VERSION = 3


@dataclass(frozen=True, slots=True)
class Draw:
    """Which of a policy's completions on a benchmark: attempts `first` to `first + count`.

    Completions for one `purpose` are independent of those for another, though the policy is the
    same: what promoted a candidate does not speak for it as incumbent.
    """

    count: int
    first: int = 0
    purpose: str = ""


def draw_of_look(looks: Sequence[int], at: int, purpose: str) -> Draw:
    """What look `at` (from 0) of growing numbers of completions adds to those before."""
    first = looks[at - 1] if at else 0
    return Draw(looks[at] - first, first, purpose)


@dataclass(frozen=True, kw_only=True)
class EvalInputs:
    """What the stage reads. `decoding` holds the engine's and the prompt's identity settings.

    Where `draw` is left out, the config's `group_size`.
    """

    benchmark: str
    problems: Sequence[Problem]
    problems_fingerprint: str
    rules: GradingRules
    policy: Policy
    completer: Completer
    grader: Grader
    decoding: Mapping[str, Any]
    seed: int
    draw: Draw | None = None
    progress: Progress = silent

    def drawn(self, config: EvalConfig) -> Draw:
        """The draw, by the config where none is given; one completion where greedy."""
        if config.temperature == 0:
            return Draw(1)
        return self.draw or Draw(config.group_size)


def spec(config: EvalConfig, inputs: EvalInputs) -> ArtifactSpec:
    """The artifact of this checkpoint on this benchmark."""
    draw = inputs.drawn(config)
    return ArtifactSpec(
        stage="eval",
        version=VERSION,
        settings={
            "eval": {**identity_settings(config), "group_size": draw.count},
            "benchmark": inputs.benchmark,
            "decoding": dict(inputs.decoding),
            "rules": inputs.rules.identity(),
            **(_drawn_by_chance(draw, inputs.seed) if config.temperature > 0 else {}),
        },
        inputs={"problems": inputs.problems_fingerprint, "policy": inputs.policy.fingerprint},
    )


def _drawn_by_chance(draw: Draw, seed: int) -> dict[str, Any]:
    return {"seed": seed, "first_attempt": draw.first, "purpose": draw.purpose}


def run(config: EvalConfig, inputs: EvalInputs, out: Workspace) -> dict[str, Any]:
    """Sample and grade what is missing; the metrics cover the whole benchmark.

    Raises:
        EngineDied: if the engine ended; finished shards are kept.
        InputError: if more prompts than `max_too_long` have no room in the engine.
    """
    plan = ShardPlan.of(inputs.problems, inputs.drawn(config).count, config.shard_size, out)
    throughput = Throughput(plan.num_missing_problems)
    if plan.missing:
        _answer(config, inputs, out, plan, throughput)
    rows = (row for index in range(plan.num_shards) for row in out.read_part(index, EvalRow))
    return {**summarize(rows, config), **throughput.metrics()}


def _answer(
    config: EvalConfig, inputs: EvalInputs, out: Workspace, plan: ShardPlan, throughput: Throughput
) -> None:
    sampling = config.sampling(derive_seed(out.spec.identity, plan.missing[0]))
    draw = inputs.drawn(config)
    too_long = too_long_in(map(out.part_path, plan.finished), "reason", draw.first)
    room = PromptRoom("eval", inputs.benchmark, config.max_too_long, len(plan.problems), too_long)
    drawing = Drawing(
        strategy=Independent(draw.count, draw.first),
        generate=Asker(inputs.completer, inputs.policy, sampling, room, throughput),
        to_rows=partial(_rows, inputs.benchmark, draw.first),
        row_type=EvalRow,
        scorer=OutcomeScorer(inputs.grader, inputs.rules, inputs.problems_fingerprint),
    )
    for drawn, rows in fill_shards(plan, out, drawing):
        inputs.progress(throughput.add(rows, drawn.accepted))


def _rows(benchmark: str, first: int, drawn: DrawnProblem) -> list[EvalRow]:
    """The graded completions; where the engine made none there was nothing to grade."""
    graded = zip(drawn.outputs(), drawn.grades, strict=True)
    return [
        EvalRow(
            benchmark=benchmark,
            problem_id=drawn.problem.problem_id,
            attempt=attempt,
            completion=output.completion,
            answer=grade.answer if grade else None,
            correct=grade.correct if grade else None,
            reason=grade.reason if grade else group.error or "engine_error",
            finish_reason=output.finish_reason,
            num_tokens=output.num_tokens,
            level=drawn.problem.level,
            subject=drawn.problem.subject,
            logprob=output.logprob,
        )
        for attempt, ((_, group, output), grade) in enumerate(graded, start=first)
    ]
