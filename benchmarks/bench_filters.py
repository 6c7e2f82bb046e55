"""The filters' speed and memory: all of them but the verifier, over 50,000 completions.

Texts are grade-school solutions made on the spot, in groups of eight: half as the arithmetic
source tells them, the rest with a sentence, a number or the order changed, about as long as
GSM8K's. Each measurement runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from pydantic import TypeAdapter

from benchmarks.rounds import rounds
from filters import stage
from filters.config import FilterConfig
from ratchet.problems.arithmetic import generate
from ratchet.problems.config import ArithmeticSource
from ratchet.problems.grading import GradingRules
from ratchet.problems.sets import ProblemSet, load_set
from ratchet.progress import Step
from ratchet.records import Completion, Problem
from ratchet.store.artifacts import Artifact, Store, Workspace
from ratchet.store.identity import ArtifactSpec
from ratchet.verifier.grader import Grader

COMPLETIONS = 50_000
ROUNDS = 3
GROUP_SIZE = 8
PER_PART = 2_000
LANGUAGE = [{"kind": "language", "language": "en"}]
ALL: list[dict[str, Any]] = [
    {"kind": "format", "min_reasoning_chars": 10},
    {"kind": "length", "outliers": "set", "problem_quantile": 0.9},
    {"kind": "repetition"},
    {"kind": "arithmetic"},
    *LANGUAGE,
    {"kind": "decontamination"},
    {"kind": "diversity", "name": "equations", "by": "equations", "mode": "mark"},
    {"kind": "diversity", "name": "near", "by": "near"},
    {"kind": "diversity", "name": "again", "by": "text", "scope": "set"},
]
_ASIDES = (
    "Let me think about this step by step before I write anything down.",
    "First we look at what is given, and then at what the question asks for.",
    "That number seems large, but it follows from the numbers in the question.",
    "We should check that we did not forget any of the things that were mentioned.",
    "So we have used each of the numbers once, and nothing is left to be done.",
)


_SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z\\])")


def made_texts(problem: Problem, rng: random.Random) -> list[str]:
    """A group's completions: variants of the problem's solution."""
    solution = problem.solution or ""
    texts = []
    for _ in range(GROUP_SIZE):
        sentences = _SENTENCE_END.split(solution)
        for aside in rng.sample(_ASIDES, 2):
            sentences.insert(rng.randrange(len(sentences)), aside)
        text = " ".join(sentences)
        if rng.random() < 0.3:
            text = text.replace(str(rng.randrange(2, 40)), str(rng.randrange(2, 40)), 1)
        texts.append(text)
    return texts


def write_completions(store: Store, problems: list[Problem]) -> Artifact:
    """The set in parts of `PER_PART` completions."""

    def rows(part: list[Problem]) -> Iterator[Completion]:
        rng = random.Random(part[0].problem_id)
        for problem in part:
            for attempt, text in enumerate(made_texts(problem, rng)):
                yield Completion(
                    problem_id=problem.problem_id,
                    iteration=0,
                    attempt=attempt,
                    prompt=problem.problem,
                    completion=text,
                    finish_reason="stop",
                    num_prompt_tokens=1,
                    num_tokens=len(text.split()),
                    logprob=None,
                    policy="f",
                    sampler="do_sample",
                    temperature=1.0,
                )

    def make(out: Workspace) -> dict[str, Any]:
        step = PER_PART // GROUP_SIZE
        for index, start in enumerate(range(0, len(problems), step)):
            out.write_part(index, rows(problems[start : start + step]), Completion)
        return {}

    spec = ArtifactSpec(stage="sample", version=1, settings={"problems": len(problems)})
    return store.build(spec, make)[0]


def benchmark_set(store: Store, name: str, size: int) -> ProblemSet:
    source = ArithmeticSource(kind="arithmetic", split="dev", size=size, levels=(1, 2, 3))
    return load_set(store, name, source)


def run_stage(filters: list[dict[str, Any]], completions: int, root: Path) -> dict[str, float]:
    """Completions per second of the filter stage, and its peak memory with all its processes."""
    configs = TypeAdapter(tuple[FilterConfig, ...]).validate_python(filters)
    store = Store(root)
    problems = generate("train", completions // GROUP_SIZE, (4, 5, 6), 0)
    made = write_completions(store, problems)
    with Grader(workers=1) as grader:
        inputs = stage.FilterInputs(
            completions=made,
            problems={problem.problem_id: problem for problem in problems},
            problems_fingerprint="f",
            rules=GradingRules(),
            grader=grader,
            benchmarks={"dev": benchmark_set(store, "dev", 1_000)},
            progress=_Watch(),
        )
        started = time.monotonic()
        store.build(stage.spec(configs, inputs), lambda out: stage.run(configs, inputs, out))
        seconds = time.monotonic() - started
    return {
        "completions": made.manifest.rows,
        "per_second": made.manifest.rows / seconds,
        "peak_mib": _Watch.peak,
    }


class _Watch:
    """Looks at the memory of this process and its children whenever a part is done."""

    peak = 0.0

    def __call__(self, step: Step) -> None:
        mine = psutil.Process(os.getpid())
        family = [mine, *mine.children(recursive=True)]
        total = sum(process.memory_info().rss for process in family) / 2**20
        _Watch.peak = max(_Watch.peak, total)


def _in_own_process(filters: list[dict[str, Any]], completions: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "benchmarks.bench_filters"]
        command += [json.dumps(filters), str(completions), root]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return figures


def measure() -> dict[str, float]:
    """The figures of the issue that asked for filters."""
    peaks: list[float] = []

    def rate(filters: list[dict[str, Any]]) -> float:
        figures = _in_own_process(filters, COMPLETIONS)
        if filters is ALL:
            peaks.append(figures["peak_mib"])
        return figures["per_second"]

    found = rounds({"all": partial(rate, ALL), "language": partial(rate, LANGUAGE)}, ROUNDS)
    half = _in_own_process(ALL, COMPLETIONS // 2)
    return {
        "completions": COMPLETIONS,
        "all_per_second": round(found["all"].best, 1),
        "spread": round(found["all"].spread, 2),
        "peak_mib": round(max(peaks), 1),
        "peak_mib_of_half": round(half["peak_mib"], 1),
        "language_per_second": round(found["language"].best, 1),
    }


def main() -> None:
    """Print each figure with its goal."""
    figures = measure()
    print(
        f"filters: {figures['all_per_second']:,.0f} completions/s by all filters but the verifier "
        f"(goal: at least 3,000); the best of {ROUNDS} rounds, the worst "
        f"{100 * figures['spread']:.0f} % below; language alone "
        f"{figures['language_per_second']:,.0f} (goal: 1,500); "
        f"{figures['completions']:,.0f} completions in {figures['peak_mib']:.0f} MiB, half "
        f"of them in {figures['peak_mib_of_half']:.0f} MiB, all processes together",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(run_stage(json.loads(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main()
