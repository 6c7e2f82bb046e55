"""Peak memory of the flow's process over sample, filter and select, at N and at 10 N completions.

The same problems, ten times the group size; completions come from a generator instead of an
engine process, which is not what is measured. Each size runs in a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from filters import stage as filter_stage
from filters.kinds.orm import OrmConfig
from filters.selection import stage as select_stage
from filters.selection.config import SftSelection
from ratchet.generation.engine import (
    Output,
    Request,
    RequestSource,
    SampledGroup,
    Sampling,
    group_of,
)
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import Policy
from ratchet.problems.grading import GradingRules, OutcomeScorer
from ratchet.records import Problem
from ratchet.store.artifacts import Artifact, Store
from ratchet.verifier.grader import Grader
from samplers import stage as sample_stage
from samplers.config import DoSampleConfig, TransformersEngineConfig

PROBLEMS = 1000
SMALL, LARGE = 8, 80
"""Group sizes: 8,000 and 80,000 completions."""
RULES, FILTERS = GradingRules(), (OrmConfig(),)


class Fountain:
    """A completer that makes texts of about 300 characters up, every fourth of them right."""

    def generate(
        self, policy: Policy, sampling: Sampling, requests: RequestSource
    ) -> Iterator[SampledGroup]:
        for request in iter(requests.take, None):
            outputs = tuple(
                self._output(request, attempt) for attempt in range(request.num_completions)
            )
            yield group_of(request, request.problem, 20, outputs)

    def release_device(self) -> None:
        """Nothing is held."""

    def _output(self, request: Request, attempt: int) -> Output:
        answer = int(request.problem.split("+")[0]) + 1 + attempt % 4
        steps = " ".join(f"step {attempt}.{i}: {request.problem_id}" for i in range(12))
        return Output(f"{steps} \\boxed{{{answer}}}", "stop", 100)


def run_stages(group_size: int, root: Path) -> dict[str, float]:
    """Sample, filter and select; peak resident memory of this process in MiB."""
    problems = tuple(
        Problem(problem_id=f"p{i}", problem=f"{i}+1", reference_answer=str(i + 1))
        for i in range(PROBLEMS)
    )
    store, by_id = Store(root), {problem.problem_id: problem for problem in problems}
    with Grader() as grader:
        completions = _sampled(store, problems, group_size, grader)
        judged = filter_stage.FilterInputs(
            completions=completions,
            problems=by_id,
            problems_fingerprint="p",
            rules=RULES,
            grader=grader,
        )
        verdicts, _ = store.build(
            filter_stage.spec(FILTERS, judged), lambda out: filter_stage.run(FILTERS, judged, out)
        )
    chosen = select_stage.SelectInputs(
        completions=completions,
        verdicts=verdicts,
        filters=FILTERS,
        problems=by_id,
        problems_fingerprint="p",
        seed=0,
    )
    cap = SftSelection()
    rows, _ = store.build(
        select_stage.spec(cap, chosen), lambda out: select_stage.run(cap, chosen, out)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak_mib": peak, "completions": completions.manifest.rows, "rows": rows.manifest.rows}


def _sampled(
    store: Store, problems: Sequence[Problem], group_size: int, grader: Grader
) -> Artifact:
    """Completions of the problems, graded beside sampling."""
    sampler = DoSampleConfig(group_size=group_size)
    inputs = sample_stage.SampleInputs(
        problems=problems,
        problems_fingerprint="p",
        policy=Policy(fingerprint="f", model="m"),
        completer=Fountain(),
        prompt=PromptConfig(),
        engine=TransformersEngineConfig(),
        iteration=0,
        seed=0,
        scorer=OutcomeScorer(grader, RULES, "p"),
    )
    spec = sample_stage.spec(sampler, inputs)
    return store.build(spec, lambda out: sample_stage.run(sampler, inputs, out))[0]


def measure() -> dict[str, float]:
    """Peaks of both sizes and their ratio."""
    peaks = {}
    for group_size in (SMALL, LARGE):
        with tempfile.TemporaryDirectory() as root:
            command = [sys.executable, "-m", "benchmarks.bench_memory", str(group_size), root]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[group_size] = json.loads(answer.stdout.splitlines()[-1])
    small, large = peaks[SMALL], peaks[LARGE]
    return {
        "small_completions": small["completions"],
        "small_peak_mib": round(small["peak_mib"], 1),
        "large_completions": large["completions"],
        "large_peak_mib": round(large["peak_mib"], 1),
        "ratio": round(large["peak_mib"] / small["peak_mib"], 3),
    }


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(run_stages(int(sys.argv[1]), Path(sys.argv[2]))))
    else:
        print(json.dumps(measure(), indent=1))
