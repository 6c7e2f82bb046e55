"""The eval stage: one checkpoint's completions on one benchmark, graded, with intervals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.config import EvalConfig
from ratchet.answers import GRADER_VERSION, AnswerFormat, Grader
from ratchet.config import identity_settings
from ratchet.engine import Completer, Group, Output, Request, Sampling
from ratchet.identity import ArtifactSpec, derive_seed
from ratchet.metrics import Interval, bootstrap_interval, wilson_interval
from ratchet.policy import Policy
from ratchet.progress import Progress, silent
from ratchet.records import EvalRow, Problem
from ratchet.sharding import Attempt, ShardPlan, fill_shards
from ratchet.store import Artifact, Workspace

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class EvalInputs:
    """What the stage reads. `decoding` holds the engine's and the prompt's identity settings."""

    benchmark: str
    problems: Sequence[Problem]
    problems_fingerprint: str
    answer_format: AnswerFormat
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
            "answer_format": inputs.answer_format,
            "grader": GRADER_VERSION,
            **({"seed": inputs.seed} if config.temperature > 0 else {}),
            **({"redo": inputs.redo} if inputs.redo else {}),
        },
        inputs={"problems": inputs.problems_fingerprint, "policy": inputs.policy.fingerprint},
    )


def run(config: EvalConfig, inputs: EvalInputs, out: Workspace) -> dict[str, Any]:
    """Sample and grade what is missing; the metrics cover the whole benchmark.

    Raises:
        EngineDied: if the engine ended; finished shards are kept.
    """
    plan = ShardPlan.of(inputs.problems, config.shard_size, out)
    attempt = Attempt(plan.num_missing_problems)
    if plan.missing:
        _answer(config, inputs, out, plan, attempt)
    rows = [row for part in _parts(out, len(inputs.problems), config) for row in part]
    tokens = sum(row.num_tokens for row in rows)
    return {**summarize(rows, config.confidence), "tokens": tokens, **attempt.metrics()}


def _answer(
    config: EvalConfig, inputs: EvalInputs, out: Workspace, plan: ShardPlan, attempt: Attempt
) -> None:
    sampling = Sampling(
        temperature=config.temperature,
        top_p=config.top_p,
        max_tokens=config.max_tokens,
        seed=derive_seed(out.spec.identity, plan.missing[0]),
        stop=config.stop,
        extra=tuple(config.params.items()),
    )

    def generate(requests: Iterable[Request]) -> Iterator[Group]:
        return inputs.completer.generate(inputs.policy, sampling, attempt.timed(requests))

    def to_rows(problem: Problem, group: Group) -> list[EvalRow]:
        outputs = enumerate(group.outputs)
        return [_grade(inputs, problem, group, index, output) for index, output in outputs]

    for _, rows in fill_shards(plan, out, generate, config.group_size, to_rows, EvalRow):
        inputs.progress(attempt.add(rows, sum(row.correct is True for row in rows)))


def _parts(out: Workspace, num_problems: int, config: EvalConfig) -> list[list[EvalRow]]:
    shards = -(-num_problems // config.shard_size)
    return [out.read_part(index, EvalRow) for index in range(shards)]


def _grade(
    inputs: EvalInputs, problem: Problem, group: Group, attempt: int, output: Output
) -> EvalRow:
    answer: str | None = None
    correct: bool | None = False
    reason = group.error or "engine_error"
    if output.finish_reason != "error":
        grade = inputs.grader.grade(
            output.completion,
            problem.reference_answer,
            finish_reason=output.finish_reason,
            answer_format=inputs.answer_format,
        )
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


def problem_means(rows: Sequence[EvalRow]) -> dict[str, float]:
    """problem_id -> mean correctness of its scored attempts; a problem with none is left out."""
    scored: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if row.correct is not None:
            scored[row.problem_id].append(row.correct)
    return {problem_id: sum(values) / len(values) for problem_id, values in scored.items()}


def summarize(rows: Sequence[EvalRow], confidence: float) -> dict[str, Any]:
    """mean@k over problems with its interval, by level, and what happened to each completion.

    The interval is Wilson's for one completion per problem, else a bootstrap over problems.
    """
    means = problem_means(rows)
    levels = {row.problem_id: row.level for row in rows}
    by_level: dict[str, list[float]] = defaultdict(list)
    for problem_id, mean in means.items():
        if levels[problem_id] is not None:
            by_level[str(levels[problem_id])].append(mean)
    return {
        **_mean_with_interval(list(means.values()), confidence),
        "completions": len(rows),
        "unscored": sum(row.correct is None for row in rows),
        "reasons": dict(Counter(row.reason for row in rows)),
        "finish_reasons": dict(Counter(row.finish_reason for row in rows)),
        "by_level": {
            level: _mean_with_interval(values, confidence)
            for level, values in sorted(by_level.items())
        },
    }


def _mean_with_interval(values: list[float], confidence: float) -> dict[str, Any]:
    if not values:
        return {"mean": None, "low": None, "high": None, "n": 0}
    interval: Interval
    if all(value in (0.0, 1.0) for value in values):
        interval = wilson_interval(round(sum(values)), len(values), confidence)
    else:
        interval = bootstrap_interval(values, seed=0, confidence=confidence)
    mean = sum(values) / len(values)
    return {"mean": mean, "low": interval.low, "high": interval.high, "n": len(values)}


def eval_rows(artifact: Artifact) -> list[EvalRow]:
    """All rows of an eval artifact."""
    return list(artifact.rows(EvalRow))
