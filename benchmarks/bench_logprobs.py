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
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench_sampling import MODEL, SAMPLER
from benchmarks.rounds import rounds
from ratchet.generation.engine import Request, RequestQueue
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import ModelConfig, Policy, base_policy
from ratchet.problems.arithmetic import generate
from samplers.config import VllmEngineConfig
from samplers.serving.client import EngineClient

ENGINE = VllmEngineConfig(dtype="float32", max_num_seqs=256, enforce_eager=True, logprobs=False)
PROBLEMS = 56
ROUNDS = 24
"""Many short ones: some of them find the machine quiet."""
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


def measure(model: Path, count: int, number: int) -> dict[str, Any]:
    """The best rate with and without, how far the worst lay below, and the ratio of the best."""
    policy = base_policy(ModelConfig(path=str(model)))
    with (
        tempfile.TemporaryDirectory() as folder,
        EngineClient(ENGINE, PromptConfig(), Path(folder) / "engine.log") as client,
    ):
        sides = {
            "without": partial(speed, client, policy, count, WITHOUT),
            "with": partial(speed, client, policy, count, WITH),
        }
        rounds(sides, 1)  # what vLLM compiles at its first requests is no part of it
        found = rounds(sides, number)
    return {
        "model": model.name,
        **{name: asdict(each) for name, each in found.items()},
        "ratio": round(found["with"].best / found["without"].best, 3),
    }


if __name__ == "__main__":
    model, count, number = (*sys.argv[1:], *[""] * 3)[:3]
    given = measure(Path(model or MODEL), int(count or PROBLEMS), int(number or ROUNDS))
    print(json.dumps(given, indent=1))
