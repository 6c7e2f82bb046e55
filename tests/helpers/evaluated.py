"""The command line in this process, and files of problems with recorded completions for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from flows.cli import app
from flows.config import dump_config, load_config
from ratchet.problems.arithmetic import generate
from ratchet.records import Problem
from ratchet.store.artifacts import Artifact, Store, Workspace
from ratchet.store.identity import ArtifactSpec
from ratchet.store.ledger import LedgerEntry, Run, StepKey
from tests.helpers.world import write_config, write_recording, wrong

IsRight = Callable[[int, int], bool]
"""Whether a problem's attempt is right, by their numbers."""


def ratchet(*arguments: object) -> Result:
    """A command; what it raised is in `exception`."""
    return CliRunner().invoke(app, [str(each) for each in arguments])


def answered(*arguments: object) -> Any:
    """A command's JSON answer."""
    done = ratchet(*arguments, "--json")
    assert done.exit_code == 0, done.output or done.exception
    return json.loads(done.stdout)


def replayed(recording: Path) -> list[str]:
    """The settings that have a recording answer."""
    settings = ["engine.kind=replay", f"engine.path={recording}"]
    return [text for each in settings for text in ("--set", each)]


def arithmetic(count: int, split: str = "dev") -> list[Problem]:
    return generate(split, count, (1, 2), 0)  # type: ignore[arg-type]


def write_problems(path: Path, problems: Sequence[Problem]) -> Path:
    names = ("problem_id", "problem", "reference_answer", "level")
    rows = [{name: getattr(problem, name) for name in names} for problem in problems]
    return write_rows(path, rows)


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_answers(path: Path, problems: Sequence[Problem], right: IsRight, attempts: int) -> Path:
    """A recording: `attempts` completions of each problem."""
    rows = [
        {
            "problem_id": problem.problem_id,
            "attempt": attempt,
            "completion": (problem.solution or "") if right(at, attempt) else wrong(problem),
            "num_tokens": 3 + attempt,
        }
        for at, problem in enumerate(problems)
        for attempt in range(attempts)
    ]
    return write_rows(path, rows)


def trained_run(folder: Path, *settings: str, promoted: bool = True) -> Run:
    """A run of the world's config, greedy, whose iteration 0 trained a checkpoint."""
    config = write_config(folder / "world.toml", write_recording(folder / "recording.jsonl"))
    parsed = load_config(config, ["eval.temperature=0", *settings])
    run = Run.create(Store(folder / "store"), "run", dump_config(parsed))
    _record(run, StepKey(0, "train"), {"steps": 1})
    _record(run, StepKey(0, "gate"), {"promoted": promoted})
    return run


def _record(run: Run, key: StepKey, metrics: dict[str, Any]) -> Artifact:
    def make(out: Workspace) -> dict[str, Any]:
        if key.stage == "train":
            (out.path / "checkpoint").mkdir()
            (out.path / "checkpoint" / "config.json").write_text("{}")
        return metrics

    spec = ArtifactSpec(stage=key.stage, version=1, settings=metrics)
    artifact, reused = run.store.build(spec, make)
    run.record(LedgerEntry.of(key, artifact, reused, seconds=0.1))
    return artifact
