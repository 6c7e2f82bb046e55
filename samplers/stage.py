"""The sample stage: completions of every problem, as the sampler's strategy asks for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ratchet.config import identity_settings
from ratchet.generation.drawing import Asker, Drawing, DrawnProblem, OnGroup, fill_shards, ignore
from ratchet.generation.engine import Completer
from ratchet.generation.prompt_room import PromptRoom, too_long_in
from ratchet.generation.prompts import PromptConfig
from ratchet.generation.shards import ShardPlan, Throughput
from ratchet.generation.strategy import GroupScorer
from ratchet.policy import Policy
from ratchet.progress import Progress, silent
from ratchet.records import Completion, Problem
from ratchet.store.artifacts import Workspace
from ratchet.store.identity import ArtifactSpec, derive_seed
from samplers.config import EngineConfig, SamplerConfig, engine_identity
from samplers.strategies.build import build_strategy

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class SampleInputs:
    """What the stage reads. `scorer` grades beside sampling; grades are kept with the shards."""

    problems: Sequence[Problem]
    problems_fingerprint: str
    policy: Policy
    completer: Completer
    prompt: PromptConfig
    engine: EngineConfig
    iteration: int
    seed: int
    scorer: GroupScorer | None = None
    on_group: OnGroup = ignore
    progress: Progress = silent


def spec(config: SamplerConfig, inputs: SampleInputs) -> ArtifactSpec:
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
        },
        inputs={"problems": inputs.problems_fingerprint, "policy": inputs.policy.fingerprint},
    )


def run(config: SamplerConfig, inputs: SampleInputs, out: Workspace) -> dict[str, Any]:
    """Sample the shards that are missing; the counts cover all shards.

    `seconds` and `tokens_per_second` are of this attempt, from the moment the engine took its
    first request: they leave its start and the loading of weights out.

    Raises:
        EngineDied: if the engine ended; finished shards are kept.
        InputError: if more prompts than `max_too_long` have no room in the engine.
    """
    plan = ShardPlan.of(inputs.problems, config.group_size, config.shard_size, out)
    throughput = Throughput(plan.num_missing_problems)
    if plan.missing:
        _sample(config, inputs, out, plan, throughput)
    parts = [out.part_path(index) for index in range(plan.num_shards)]
    return {**count(parts), **throughput.metrics()}


def _sample(
    config: SamplerConfig,
    inputs: SampleInputs,
    out: Workspace,
    plan: ShardPlan,
    throughput: Throughput,
) -> None:
    sampling = config.sampling(derive_seed(out.spec.identity, plan.missing[0]))
    too_long = too_long_in(map(out.part_path, plan.finished), "error")
    room = PromptRoom("sampler", "train", config.max_too_long, len(plan.problems), too_long)
    drawing = Drawing(
        strategy=build_strategy(config),
        generate=Asker(inputs.completer, inputs.policy, sampling, room, throughput),
        to_rows=partial(_completions, config, inputs),
        row_type=Completion,
        scorer=inputs.scorer,
        keep_grades=True,
        on_group=inputs.on_group,
    )
    for drawn, completions in fill_shards(plan, out, drawing):
        accepted = drawn.accepted if inputs.scorer else None
        inputs.progress(throughput.add(completions, accepted))


def _completions(
    config: SamplerConfig, inputs: SampleInputs, drawn: DrawnProblem
) -> list[Completion]:
    return [
        Completion(
            problem_id=drawn.problem.problem_id,
            iteration=inputs.iteration,
            attempt=attempt,
            prompt=group.prompt,
            completion=request.prefix + output.completion,
            finish_reason=output.finish_reason,
            num_prompt_tokens=group.num_prompt_tokens,
            num_tokens=output.num_tokens,
            logprob=output.logprob,
            policy=inputs.policy.fingerprint,
            sampler=config.kind,
            temperature=config.temperature,
            error=(group.error or "engine_error") if output.finish_reason == "error" else None,
        )
        for attempt, (request, group, output) in enumerate(drawn.outputs())
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
