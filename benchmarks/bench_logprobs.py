"""What it costs to record each completion's log probability: vLLM's tokens per second with it, as
a share of those without.

One engine answers both in turns, so that what else the machine does falls on both:

    python -m benchmarks.bench_logprobs [MODEL [PROBLEMS [ROUNDS]]]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench_sampling import MODEL, SAMPLER
from ratchet.generation.engine import Request, RequestQueue
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import ModelConfig, Policy, base_policy
from ratchet.problems.arithmetic import generate
from samplers.config import VllmEngineConfig
from samplers.serving.client import EngineClient

ENGINE = VllmEngineConfig(dtype="float32", max_num_seqs=256, enforce_eager=True, logprobs=False)
PROBLEMS = 224
ROUNDS = 8
WITHOUT: dict[str, Any] = {}
WITH: dict[str, Any] = {"logprobs": 0}


def speed(client: EngineClient, policy: Policy, count: int, params: dict[str, Any]) -> float:
    """Tokens per second of `count` groups of completions of a fixed length."""
    asked = [
        Request(p.problem_id, p.problem_id, p.problem, SAMPLER.group_size)
        for p in generate("train", count, (1, 2, 3), 0)
    ]
    sampler = SAMPLER.model_copy(update={"params": {**SAMPLER.params, **params}})
    started = time.monotonic()
    groups = client.generate(policy, sampler.sampling(0), RequestQueue(asked))
    tokens = sum(output.num_tokens for group in groups for output in group.outputs)
    return tokens / (time.monotonic() - started)


def measure(model: Path, count: int, rounds: int) -> dict[str, Any]:
    """Both rates, round by round after one that warms up, and the median of their ratios."""
    policy = base_policy(ModelConfig(path=str(model)))
    found: dict[str, list[float]] = {"with": [], "without": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        EngineClient(ENGINE, PromptConfig(), Path(folder) / "engine.log") as client,
    ):
        for number in range(rounds + 1):
            sides = [("with", WITH), ("without", WITHOUT)]
            for name, params in sides if number % 2 else sides[::-1]:
                found[name].append(speed(client, policy, count, params))
    ratios = [one / other for one, other in zip(found["with"], found["without"], strict=True)]
    return {
        "model": model.name,
        "tokens_per_second": {name: [round(rate) for rate in found[name][1:]] for name in found},
        "ratios": [round(ratio, 3) for ratio in ratios[1:]],
        "median_ratio": round(median(ratios[1:]), 4),
    }


if __name__ == "__main__":
    model, count, rounds = (*sys.argv[1:], *[""] * 3)[:3]
    given = measure(Path(model or MODEL), int(count or PROBLEMS), int(rounds or ROUNDS))
    print(json.dumps(given, indent=1))
