"""What a run, `plan` and `show` say of sets that share problems, and of lacking levels."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from flows.commands.plan import describe, plan
from flows.commands.why import describe as tell
from flows.commands.why import why
from flows.config import RunConfig, dump_config, load_config
from flows.display import Display
from flows.reports.model_card import model_card
from flows.reports.run_report import print_run, show
from flows.session import Session
from flows.stages import making
from ratchet.errors import InputError
from ratchet.policy import base_policy
from ratchet.records import Problem
from ratchet.store.artifacts import Store
from ratchet.store.ledger import Run
from tests.helpers.world import problems, write_config, write_recording

SETS = ("train", "dev", "test")


def write_sets(folder: Path) -> list[str]:
    """The world's sets as files, the first dev problem in train as well; overrides that name them.

    Dev's problems are all of level 1, train's of levels 1 and 2.
    """
    sets: dict[str, list[Problem]] = {name: problems(name) for name in SETS}
    sets["dev"] = [problem for problem in sets["dev"] if problem.level == 1]
    sets["train"].append(sets["dev"][0])
    overrides = []
    for name, members in sets.items():
        path = folder / f"{name}.jsonl"
        rows = [
            {"id": p.problem_id, "problem": p.problem, "answer": p.reference_answer, "lv": p.level}
            for p in members
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        columns = 'columns={problem_id="id", reference_answer="answer", level="lv"}'
        overrides.append(f'problems.{name}={{kind="file", path="{path}", {columns}}}')
    return overrides


def make_config(folder: Path, *settings: str) -> RunConfig:
    path = write_config(folder / "world.toml", write_recording(folder / "recording.jsonl"))
    return load_config(path, [*write_sets(folder), *settings])


def started(config: RunConfig, folder: Path) -> tuple[Run, str]:
    """A run whose sets are loaded, as a flow does it first, and what it said."""
    run = Run.create(Store(folder / "store"), "run", dump_config(config))
    said = Console(file=StringIO(), width=300)
    # Neither an engine nor a grader is needed before the first stage.
    session = Session(config, run, cast("Any", None), cast("Any", None), Display(said))
    making.load_sets(session)
    assert set(session.steps) == {"base/problems/train"}
    return run, cast("StringIO", said.file).getvalue()


def printed(run: Run) -> str:
    console = Console(file=StringIO(), width=300)
    print_run(show(run), console)
    return cast("StringIO", console.file).getvalue()


@pytest.mark.parametrize(
    ("settings", "kept", "fate"),
    [
        ((), 24, "dropped"),
        (('problems.on_overlap="allow"',), 25, 'kept, as on_overlap = "allow" says'),
    ],
)
def test_run_plan_show_and_card_tell_what_sets_share(
    tmp_path: Path, settings: tuple[str, ...], kept: int, fate: str
) -> None:
    config = make_config(tmp_path, *settings)
    line = f"train: 1 of 25 problems stand, or nearly stand, in dev (1) too: {fate}"
    planned = plan(config, None, "run")
    assert line in describe(planned)
    assert planned["problems"]["train"]["count"] == kept
    assert planned["per_iteration"]["sampled_completions"] == kept * config.sampler.group_size
    run, said = started(config, tmp_path)
    assert said.startswith(line)
    assert line in printed(run)
    assert line in model_card(run, config, base_policy(config.model))
    shown = show(run)["overlap"]["train"]
    assert (shown["problems"], shown["shared"], shown["by"]) == (kept, 1, {"dev": 1})
    artifact = run.store.find(shown["artifact"])
    assert artifact is not None
    assert artifact.metrics["overlaps"][0]["problem_id"] == problems("dev")[0].problem_id


def test_why_tells_that_a_problem_was_dropped(tmp_path: Path) -> None:
    run, _ = started(make_config(tmp_path), tmp_path)
    dropped = problems("dev")[0].problem_id
    assert f"dropped: dev holds it as {dropped} (text, share 1.00)" in tell(
        why(run, dropped), full=False
    )


def test_a_cut_that_leaves_levels_out_is_warned_of(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    assert "dev has no problem of levels 2" in describe(plan(config, None, "run"))
    assert "warning: dev has no problem of levels 2" in started(config, tmp_path)[1]


def test_plan_refuses_what_a_run_refuses(tmp_path: Path) -> None:
    config = make_config(tmp_path, 'problems.on_overlap="stop"')
    with pytest.raises(InputError, match="train shares 1 of its 25 problems"):
        plan(config, None, "run")


def test_sets_that_are_fetched_are_not_called_disjoint(tmp_path: Path) -> None:
    config = make_config(tmp_path, 'problems.test={kind="gsm8k", split="test"}')
    assert "overlap   not compared yet: test" in describe(plan(config, None, "run"))
