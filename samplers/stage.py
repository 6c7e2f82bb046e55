"""The sample stage: a group of independent completions for every problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ratchet.config import identity_settings
from ratchet.generation.engine import Completer, Request, SampledGroup
from ratchet.generation.prompt_room import PromptRoom, too_long_in
from ratchet.generation.prompts import PromptConfig
from ratchet.generation.shards import ShardPlan, Throughput, fill_shards
from ratchet.policy import Policy
from ratchet.progress import Progress, silent
from ratchet.records import Completion, Problem
from ratchet.store.artifacts import Workspace
from ratchet.store.identity import ArtifactSpec, derive_seed
from samplers.config import DoSampleConfig, EngineConfig, engine_identity

VERSION = 1

OnGroup = Callable[[Problem, list[Completion]], int | None]
"""Takes a group as soon as it is there; how many of it were accepted, where that is known."""


def _look_away(problem: Problem, completions: list[Completion]) -> int | None:
    return None


@dataclass(frozen=True, kw_only=True)
class SampleInputs:
    """What the stage reads. `redo` counts how often the user asked for it to be done again."""

    problems: Sequence[Problem]
    problems_fingerprint: str
    policy: Policy
    completer: Completer
    prompt: PromptConfig
    engine: EngineConfig
    iteration: int
    seed: int
    redo: int = 0
    on_group: OnGroup = _look_away
    progress: Progress = silent


def spec(config: DoSampleConfig, inputs: SampleInputs) -> ArtifactSpec:
    """The artifact of these problems' completions by this policy.

    Raises:
        InputError: if the engine replays a recording that is missing.
    """
    return ArtifactSpec(
        stage="sample",
        version=VERSION,
        settings={
            "sampler": identity_settings(config),
            "prompt": identity_settings(inputs.prompt),
            "engine": engine_identity(inputs.engine),
            "iteration": inputs.iteration,
            "seed": inputs.seed,
            **({"redo": inputs.redo} if inputs.redo else {}),
        },
        inputs={"problems": inputs.problems_fingerprint, "policy": inputs.policy.fingerprint},
    )


def run(config: DoSampleConfig, inputs: SampleInputs, out: Workspace) -> dict[str, Any]:
    """Sample the shards that are missing; the counts cover all shards.

    `seconds` and `tokens_per_second` are of this attempt, from the moment the engine took its
    first request: they leave its start and the loading of weights out.

    Raises:
        EngineDied: if the engine ended; finished shards are kept.
        InputError: if more prompts than `max_too_long` have no room in the engine.
    """
    plan = ShardPlan.of(inputs.problems, config.group_size, config.shard_size, out)
    attempt = Throughput(plan.num_missing_problems)
    if plan.missing:
        _sample(config, inputs, out, plan, attempt)
    parts = [out.part_path(index) for index in range(plan.num_shards)]
    return {**count(parts), **attempt.metrics()}


def _sample(
    config: DoSampleConfig,
    inputs: SampleInputs,
    out: Workspace,
    plan: ShardPlan,
    attempt: Throughput,
) -> None:
    sampling = config.sampling(derive_seed(out.spec.identity, plan.missing[0]))
    too_long = too_long_in(map(out.part_path, plan.finished), "error")
    room = PromptRoom("sampler", "train", config.max_too_long, len(plan.problems), too_long)

    def generate(requests: Iterable[Request]) -> Iterator[SampledGroup]:
        groups = inputs.completer.generate(inputs.policy, sampling, attempt.timed(requests))
        return room.checked(groups)

    def to_rows(problem: Problem, group: SampledGroup) -> list[Completion]:
        return _completions(config, inputs, group)

    groups = fill_shards(plan, out, generate, to_rows, Completion)
    for problem, completions in groups:
        inputs.progress(attempt.add(completions, inputs.on_group(problem, completions)))


def _completions(
    config: DoSampleConfig, inputs: SampleInputs, group: SampledGroup
) -> list[Completion]:
    return [
        Completion(
            problem_id=group.problem_id,
            iteration=inputs.iteration,
            attempt=attempt,
            prompt=group.prompt,
            completion=output.completion,
            finish_reason=output.finish_reason,
            num_prompt_tokens=group.num_prompt_tokens,
            num_tokens=output.num_tokens,
            logprob=output.logprob,
            policy=inputs.policy.fingerprint,
            sampler=config.kind,
            temperature=config.temperature,
            error=(group.error or "engine_error") if output.finish_reason == "error" else None,
        )
        for attempt, output in enumerate(group.outputs)
    ]


def count(parts: Iterable[Path]) -> dict[str, Any]:
    """What the completions of some Parquet parts add up to, column by column, part by part.

    A prompt's tokens count once per group.
    """
    problems = completions = tokens = prompt_tokens = 0
    finish_reasons: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for part in parts:
        columns = ["attempt", "num_tokens", "num_prompt_tokens", "finish_reason", "error"]
        rows = pq.read_table(part, columns=columns).to_pydict()
        first = [attempt == 0 for attempt in rows["attempt"]]
        problems += sum(first)
        completions += len(first)
        tokens += sum(rows["num_tokens"])
        sizes = zip(rows["num_prompt_tokens"], first, strict=True)
        prompt_tokens += sum(size for size, is_first in sizes if is_first)
        finish_reasons.update(rows["finish_reason"])
        errors.update(error for error in rows["error"] if error is not None)
    return {
        "problems": problems,
        "completions": completions,
        "tokens": tokens,
        "prompt_tokens": prompt_tokens,
        "finish_reasons": dict(sorted(finish_reasons.items())),
        "errors": dict(sorted(errors.items())),
    }
