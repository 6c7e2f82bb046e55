"""A small world for tests of whole runs: the seed model, a recording, and a config for both.

Every train problem has two right and two wrong completions. The base model solves every third dev
problem, the candidate of iteration 0 two of three, later ones no more: so the first is promoted
and the second is not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratchet.problems.arithmetic import generate
from ratchet.records import Problem
from tests.helpers.places import ROOT, SEED_MODEL

SIZES = {"train": 24, "dev": 60, "test": 60}
LEVELS = (1, 2)
GROUP_SIZE = 4
SECRET = "hf_not_to_be_seen"
"""A setting that must not be shown anywhere."""


def problems(split: str) -> list[Problem]:
    return generate(split, SIZES[split], LEVELS, 0)  # type: ignore[arg-type]


def wrong(problem: Problem) -> str:
    return f"It is \\boxed{{{int(problem.reference_answer) + 1}}}"


def _row(problem: Problem, attempt: int, text: str, **more: Any) -> dict[str, Any]:
    row = {
        "problem_id": problem.problem_id,
        "attempt": attempt,
        "completion": text,
        "num_tokens": len(text.split()),
    }
    return {**row, **more}


def write_recording(path: Path) -> Path:
    """Completions of every problem for the base model (-1) and the candidate of iteration 0."""
    rows = []
    for problem in problems("train"):
        right = problem.solution or ""
        texts = [right, wrong(problem), f"So: {right}", "no idea"]
        rows += [
            _row(problem, attempt, text, policy_iteration=-1) for attempt, text in enumerate(texts)
        ]
    for split in ("dev", "test"):
        for index, problem in enumerate(problems(split)):
            for iteration, modulus in ((-1, (0,)), (0, (0, 1))):
                text = (problem.solution or "") if index % 3 in modulus else wrong(problem)
                rows.append(_row(problem, 0, text, policy_iteration=iteration))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _source(split: str) -> str:
    return (
        f'[problems.{split}]\nkind = "arithmetic"\nsplit = "{split}"\n'
        f"size = {SIZES[split]}\nlevels = {list(LEVELS)}\n"
    )


def write_config(path: Path, recording: Path, iterations: int = 2) -> Path:
    path.write_text(
        f"""
name = "world"
iterations = {iterations}
patience = 1
[model]
path = "{SEED_MODEL}"
[prompt]
{_source("train")}
{_source("dev")}
{_source("test")}
[engine]
kind = "replay"
path = "{recording}"
[sampler]
kind = "do_sample"
group_size = {GROUP_SIZE}
max_tokens = 64
shard_size = 32
[trainer]
kind = "sft"
max_steps = 2
save_steps = 1
batch_size = 4
learning_rate = 1e-4
args = {{ hub_token = "{SECRET}" }}
[eval]
temperature = 0
max_tokens = 64
shard_size = 20
[gate]
schedule = "open"
[retry]
attempts = 1
delays = [0.1]
"""
    )
    return path


@dataclass
class World:
    """A folder with a recording, a config and as many stores as a test wants."""

    folder: Path
    prefect_url: str
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        recording = write_recording(self.folder / "recording.jsonl")
        self.config = write_config(self.folder / "world.toml", recording)

    @property
    def home(self) -> Path:
        """The user's home folder, in which nothing may be written."""
        return self.folder / "home"

    def ratchet(
        self, *arguments: str, store: str = "store", crash_at: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """The command line in a process of its own."""
        self.home.mkdir(exist_ok=True)
        env = {
            **os.environ,
            "HOME": str(self.home),
            "PREFECT_API_URL": self.prefect_url,
            "RATCHET_STORE": str(self.folder / store),
            "RATCHET_CRASH_AT": crash_at,
        }
        command = [sys.executable, "-m", "flows", *arguments]
        return subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
        )

    def ledger(self, store: str = "store", run: str = "world") -> dict[str, tuple[str, str]]:
        """step -> (identity, fingerprint)."""
        text = (self.folder / store / "runs" / run / "ledger.json").read_text()
        entries = json.loads(text)
        return {step: (e["identity"], e["fingerprint"]) for step, e in entries.items()}
