"""Sessions for tests of gates: a replayed engine, and stages built without Prefect."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.config import RunConfig, dump_config, load_config
from flows.display import Display
from flows.session import Session
from flows.stages.inputs import LoadedSets
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import Policy
from ratchet.problems.arithmetic import generate
from ratchet.problems.sets import load_set
from ratchet.records import Problem
from ratchet.store.artifacts import Store
from ratchet.store.ledger import Run
from ratchet.verifier.grader import Grader
from ratchet.verifier.symbolic.pool import WorkerLimits
from samplers.serving.client import EngineClient
from tests.helpers.places import SEED_MODEL
from tests.helpers.world import wrong

SIZE = 200
ATTEMPTS = 8
LEVELS = (1, 2)


class QuickSession(Session):
    """A session whose stages are built at once, without Prefect and its retries."""

    def stage(self, key: Any, package: Any, config: Any, inputs: Any) -> Any:
        return self.build(key, package, config, inputs)


def policy(iteration: int) -> Policy:
    """The base model's stand-in is -1; candidates count from 0."""
    return Policy(fingerprint=f"policy-{iteration}", model="none", iteration=iteration)


def dev_problems() -> list[Problem]:
    return generate("dev", SIZE, LEVELS, 0)


def rows_of(
    problems: list[Problem], iteration: int, share: float, wrong_text: str | None = None
) -> Iterator[dict[str, Any]]:
    """A policy's completions: this share of each problem's right, spread over the attempts."""
    for at, problem in enumerate(problems):
        for attempt in range(ATTEMPTS):
            solved = (7 * at + 3 * attempt + at // 10) % 10 < round(10 * share)
            text = problem.solution if solved else wrong_text or wrong(problem)
            yield {
                "problem_id": problem.problem_id,
                "attempt": attempt,
                "policy_iteration": iteration,
                "completion": text,
                "num_tokens": 10,
            }


@dataclass
class Contests:
    """A folder with a recording; sessions on runs of one store."""

    folder: Path
    shares: Mapping[int, float]
    """Policy -> the share of its completions that are right."""

    @property
    def recording(self) -> Path:
        return self.folder / "recording.jsonl"

    def record(self, rows: Iterator[dict[str, Any]]) -> None:
        with self.recording.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    def record_dev(self) -> None:
        for iteration, share in self.shares.items():
            self.record(rows_of(dev_problems(), iteration, share))

    def config(self, *settings: str, extra: str = "") -> RunConfig:
        sources = "".join(
            f'{name} = {{ kind = "arithmetic", split = "{name}", size = {SIZE}, '
            f"levels = {list(LEVELS)} }}\n"
            for name in ("train", "dev", "test")
        )
        path = self.folder / "contest.toml"
        path.write_text(
            f'name = "a"\niterations = 5\nmodel = {{ path = "{SEED_MODEL}" }}\n'
            f'engine = {{ kind = "replay", path = "{self.recording}" }}\n'
            'sampler = { kind = "do_sample" }\ntrainer = { kind = "sft" }\n'
            f"[problems]\n{sources}{extra}"
        )
        return load_config(path, settings)

    @contextmanager
    def session(
        self, *settings: str, run: str = "a", extra: str = ""
    ) -> Iterator[tuple[Session, LoadedSets]]:
        """A session on a run of that name, its dev set and its guards'."""
        config = self.config(*settings, extra=extra)
        store = Store(self.folder / "store")
        recorded = Run.create(store, run, dump_config(config))
        display = Display(Console(file=io.StringIO(), width=200))
        log = self.folder / "engine.log"
        with (
            Grader(workers=1, limits=WorkerLimits(seconds=1.0)) as grader,
            EngineClient(config.engine, PromptConfig(), log) as engine,
        ):
            sources = {n: s for n, s in config.sources().items() if n not in ("train", "test")}
            sets = {name: load_set(store, name, source) for name, source in sources.items()}
            yield QuickSession(config, recorded, engine, grader, display), sets
