"""The eval stage: one checkpoint's completions on one benchmark, graded, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.config import EvalConfig
from evals.summary import summarize
from ratchet.config import identity_settings
from ratchet.generation.engine import Completer, Output, Request, SampledGroup
from ratchet.generation.prompt_room import PromptRoom, too_long_in
from ratchet.generation.shards import ShardPlan, Throughput, fill_shards
from ratchet.policy import Policy
from ratchet.problems.grading import GradingRules
from ratchet.progress import Progress, silent
from ratchet.records import EvalRow, Problem
from ratchet.store.artifacts import Workspace
from ratchet.store.identity import ArtifactSpec, derive_seed
from ratchet.verifier.grader import Grader

VERSION = 2


@dataclass(frozen=True, kw_only=True)
class EvalInputs:
    """What the stage reads. `decoding` holds the engine's and the prompt's identity settings."""

    benchmark: str
    problems: Sequence[Problem]
    problems_fingerprint: str
    rules: GradingRules
    policy: Policy
    completer: Completer
    grader: Grader
    decoding: Mapping[str, Any]
    seed: int
    redo: int = 0
    progress: Progress = silent


def spec(config: EvalConfig, inputs: EvalInputs) -> ArtifactSpec:
    """The artifact of this checkpoint on this benchmark."""
    return ArtifactSpec(
        stage="eval",
        version=VERSION,
        settings={
            "eval": identity_settings(config),
            "benchmark": inputs.benchmark,
            "decoding": dict(inputs.decoding),
            "rules": inputs.rules.identity(),
            **({"seed": inputs.seed} if config.temperature > 0 else {}),
            **({"redo": inputs.redo} if inputs.redo else {}),
        },
        inputs={"problems": inputs.problems_fingerprint, "policy": inputs.policy.fingerprint},
    )


def run(config: EvalConfig, inputs: EvalInputs, out: Workspace) -> dict[str, Any]:
    """Sample and grade what is missing; the metrics cover the whole benchmark.

    Raises:
        EngineDied: if the engine ended; finished shards are kept.
        InputError: if more prompts than `max_too_long` have no room in the engine.
    """
    plan = ShardPlan.of(inputs.problems, config.group_size, config.shard_size, out)
    attempt = Throughput(plan.num_missing_problems)
    if plan.missing:
        _answer(config, inputs, out, plan, attempt)
    rows = (row for index in range(plan.num_shards) for row in out.read_part(index, EvalRow))
    return {**summarize(rows, config.confidence), **attempt.metrics()}


def _answer(
    config: EvalConfig, inputs: EvalInputs, out: Workspace, plan: ShardPlan, attempt: Throughput
) -> None:
    sampling = config.sampling(derive_seed(out.spec.identity, plan.missing[0]))
    too_long = too_long_in(map(out.part_path, plan.finished), "reason")
    room = PromptRoom("eval", inputs.benchmark, config.max_too_long, len(plan.problems), too_long)

    def generate(requests: Iterable[Request]) -> Iterator[SampledGroup]:
        groups = inputs.completer.generate(inputs.policy, sampling, attempt.timed(requests))
        return room.checked(groups)

    def to_rows(problem: Problem, group: SampledGroup) -> list[EvalRow]:
        outputs = enumerate(group.outputs)
        return [_grade(inputs, problem, group, index, output) for index, output in outputs]

    for _, rows in fill_shards(plan, out, generate, to_rows, EvalRow):
        inputs.progress(attempt.add(rows, sum(row.correct is True for row in rows)))


def _grade(
    inputs: EvalInputs, problem: Problem, group: SampledGroup, attempt: int, output: Output
) -> EvalRow:
    """The graded completion; where the engine made none there is nothing to grade."""
    answer: str | None = None
    correct: bool | None = None
    reason = group.error or "engine_error"
    if output.finish_reason != "error":
        text, finish_reason = output.completion, output.finish_reason
        grade = inputs.rules.grade(inputs.grader, problem, text, finish_reason)
        answer, correct, reason = grade.answer, grade.correct, grade.reason
    return EvalRow(
        benchmark=inputs.benchmark,
        problem_id=problem.problem_id,
        attempt=attempt,
        completion=output.completion,
        answer=answer,
        correct=correct,
        reason=reason,
        finish_reason=output.finish_reason,
        num_tokens=output.num_tokens,
        level=problem.level,
    )
