"""Tokens per second of the sample stage, as a share of a bare `LLM.generate`.

Both draw the same number of tokens of a fixed length for the same prompts from the same model.
Each has an engine process of its own, loaded and warmed up before anything is measured; they take
turns, so that what else the machine does falls on both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ratchet.generation.prompts import PromptConfig, prompt_token_ids, render_prompt
from ratchet.policy import ModelConfig, base_policy
from ratchet.problems.arithmetic import generate
from ratchet.records import Problem
from ratchet.store.artifacts import Store
from samplers import stage as sample_stage
from samplers.config import DoSampleConfig, VllmEngineConfig
from samplers.serving.client import EngineClient, engine_environment

MODEL = Path(__file__).resolve().parents[1] / "models" / "arithmetic-seed"
PROBLEMS = 224
LENGTH = 48
"""Tokens of each completion; its end token is ignored."""
ROUNDS = 4
ENGINE = VllmEngineConfig(dtype="float32", max_num_seqs=256, enforce_eager=True, logprobs=False)
"""Without log probabilities, as the bare run has none; `bench_logprobs` says what they cost."""
SAMPLER = DoSampleConfig(
    group_size=8,
    max_tokens=LENGTH,
    params={"min_tokens": LENGTH, "ignore_eos": True},
    shard_size=512,
)


def problems() -> list[Problem]:
    return generate("train", PROBLEMS, (1, 2, 3), 0)


class BareVllm:
    """A bare `LLM` in a process of its own; `sample` has it draw everything once."""

    def __init__(self, log: Path) -> None:
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.bench_sampling", "--bare"],
                env=engine_environment(ENGINE, first=True),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )

    def sample(self) -> float:
        """Tokens per second."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                found = json.loads(line)
                return float(found["tokens"]) / float(found["seconds"])
        raise RuntimeError(f"the bare process ended with exit code {self._process.wait()}")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def serve_bare() -> None:
    """The bare process: one `LLM.generate` for each line on stdin."""
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=str(MODEL),
        dtype=ENGINE.dtype,
        max_num_seqs=ENGINE.max_num_seqs,
        enforce_eager=ENGINE.enforce_eager,
    )
    tokenizer = llm.get_tokenizer()
    texts = [render_prompt(tokenizer, PromptConfig(), p.problem) for p in problems()]
    prompts = [{"prompt_token_ids": prompt_token_ids(tokenizer, text)} for text in texts]
    params = SamplingParams(
        n=SAMPLER.group_size, temperature=1.0, max_tokens=LENGTH, **SAMPLER.params
    )
    for _ in sys.stdin:
        started = time.monotonic()
        results = llm.generate(prompts, params, use_tqdm=False)
        seconds = time.monotonic() - started
        tokens = sum(len(output.token_ids) for result in results for output in result.outputs)
        print(json.dumps({"tokens": tokens, "seconds": seconds}), flush=True)


def stage_speed(store: Store, inputs: sample_stage.SampleInputs) -> float:
    """Tokens per second of one whole sample stage, its shards written."""
    spec = sample_stage.spec(SAMPLER, inputs)
    artifact, _ = store.build(spec, lambda out: sample_stage.run(SAMPLER, inputs, out))
    return float(artifact.metrics["tokens_per_second"])


def measure() -> dict[str, Any]:
    """tokens/s of stage and bare, one number a round, and the ratio of their best.

    The best, because whatever else runs on the machine only ever slows a round down.
    """
    prompt = PromptConfig()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        bare = BareVllm(root / "bare.log")
        with EngineClient(ENGINE, prompt, root / "engine.log") as client:
            inputs = sample_stage.SampleInputs(
                problems=problems(),
                problems_fingerprint="bench",
                policy=base_policy(ModelConfig(path=str(MODEL))),
                completer=client,
                prompt=prompt,
                engine=ENGINE,
                iteration=0,
                seed=0,
            )
            store = Store(root / "store")
            stage_rates, bare_rates = [], []
            for number in range(ROUNDS + 1):
                bare_rates.append(bare.sample())
                stage_rates.append(stage_speed(store, replace(inputs, seed=number)))
        bare.close()
    warm_stage, warm_bare = stage_rates[1:], bare_rates[1:]
    return {
        "stage_tokens_per_second": [round(rate) for rate in warm_stage],
        "bare_tokens_per_second": [round(rate) for rate in warm_bare],
        "cold_stage_tokens_per_second": round(stage_rates[0]),
        "ratio": round(max(warm_stage) / max(warm_bare), 3),
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["--bare"]:
        serve_bare()
    else:
        print(json.dumps(measure(), indent=1))
