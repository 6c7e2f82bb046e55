"""What is shown of a run; its artifacts are made by hand, without a flow."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from flows.config import dump_config, load_config
from flows.reports import prefect_artifacts
from flows.reports.run_report import percent, print_run, print_runs, show
from ratchet.errors import InputError
from ratchet.store.artifacts import Store
from ratchet.store.identity import ArtifactSpec
from ratchet.store.ledger import LedgerEntry, Run, StepKey
from tests.helpers.world import write_config, write_recording


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = write_config(tmp_path / "world.toml", write_recording(tmp_path / "recording.jsonl"))
    return Run.create(Store(tmp_path / "store"), "old", dump_config(load_config(config)))


def record(run: Run, place: StepKey, **metrics: Any) -> None:
    """An artifact of that stage with these metrics, in store and ledger."""
    settings = {"kind": "sft", "step": place.step}
    spec = ArtifactSpec(stage=place.stage, version=1, settings=settings)
    artifact, reused = run.store.build(spec, lambda _: metrics)
    run.record(LedgerEntry.of(place, artifact, reused, seconds=0.1))


def outgrow(run: Run) -> None:
    """The run's config gets a setting that this version does not know."""
    path = run.path / "run.json"
    stored = json.loads(path.read_text())
    stored["config"]["sampler"]["setting_of_old"] = 1
    path.write_text(json.dumps(stored))


def test_a_run_whose_config_no_longer_parses_is_shown_where_its_gates_decided(
    run: Run, tmp_path: Path
) -> None:
    record(run, StepKey(0, "select"), rows=7)
    record(run, StepKey(0, "train"), rows=7)
    record(run, StepKey(0, "gate"), promoted=True, reason="better")
    record(run, StepKey(1, "sample"), completions=96, tokens=1000)
    outgrow(run)
    first, second = show(run)["iterations"]
    assert (first["promoted"], first["reason"], first["train_rows"]) == (True, "better", 7)
    assert (second["promoted"], second["reason"], second["sampled"]) == (False, "not finished", 96)
    console = Console(file=(tmp_path / "shown.txt").open("w"), width=132)
    print_runs(run.store.root, [run], console)
    console.file.close()
    assert "old" in (tmp_path / "shown.txt").read_text()


def test_only_why_nothing_was_trained_needs_the_config(run: Run) -> None:
    record(run, StepKey(0, "filter"), accepted=0)
    record(run, StepKey(0, "select"), rows=0)
    (iteration,) = show(run)["iterations"]
    assert iteration["reason"] == "nothing trained: 0 accepted, 0 sft rows, min_rows=1"
    outgrow(run)
    with pytest.raises(InputError, match="setting_of_old"):
        show(run)


def test_a_link_of_the_chain_keeps_its_name_and_a_guards_evaluation_is_left_out(run: Run) -> None:
    for name in ("select", "train"):
        record(run, StepKey(0, name), rows=3)
        record(run, StepKey(0, name, "dpo"), rows=2)
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9, "k": 1, "unscored": 0}
    record(run, StepKey(0, "eval"), **interval)
    record(run, StepKey(0, "eval", "gsm8k"), **interval)
    record(run, StepKey(None, "test", "base"), **interval)
    shown = show(run)
    (iteration,) = shown["iterations"]
    assert set(iteration["artifacts"]) == {"select", "train", "select/dpo", "train/dpo", "eval"}
    assert [training["trained"] for training in iteration["trainings"]] == [True, True]
    test = shown["test"]
    assert (test["base"], test["final"], test["base_sampled"]) == (interval, None, None)
    assert test["readings"] == 0


def text_of(run: Run) -> str:
    console = Console(width=150)
    with console.capture() as captured:
        print_run(show(run), console)
    return captured.get()


def test_an_iteration_in_progress_says_what_it_is_at(run: Run) -> None:
    record(run, StepKey(0, "sample"), completions=96, tokens=1000)
    record(run, StepKey(0, "select"), rows=16)

    def work() -> None:
        with run.working():
            for stage, words in (("eval", "evaluating"), ("train", "training")):
                run.begin(StepKey(0, stage))
                (row,) = show(run)["iterations"]
                assert (row["state"], row["reason"]) == (words, words)
                assert "nothing trained" not in text_of(run)
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        work()
    (row,) = show(run)["iterations"]
    assert row["state"] == "failed at train"
    assert row["reason"] == "failed at train: RuntimeError: no memory"
    assert "run old: failed at 0/train" in text_of(run)


def test_an_iteration_is_shown_from_its_first_step_on_and_after_a_kill(run: Run) -> None:
    assert show(run)["iterations"] == []
    run.begin(StepKey(0, "sample"))
    run.update_status(state="running")  # and no process holds its lock: it was killed
    (row,) = show(run)["iterations"]
    assert row["state"] == "interrupted at sample"
    assert "interrupted at sample" in text_of(run)


def test_a_finished_iteration_that_trained_nothing_says_why(run: Run) -> None:
    record(run, StepKey(0, "select"), rows=0)
    run.begin(StepKey(0, "select"))
    with run.working():
        pass
    (row,) = show(run)["iterations"]
    assert row["state"] == "done"
    assert row["reason"].startswith("nothing trained")


def test_work_of_all_sessions_is_summed_also_of_one_that_was_killed(run: Run) -> None:
    with run.working():
        time.sleep(0.2)
        record(run, StepKey(0, "sample"), completions=1, tokens=1)
        killed_here = run.status()["wall_seconds"]
    assert killed_here >= 0.2
    with run.working():
        time.sleep(0.2)
    assert run.status()["wall_seconds"] >= killed_here + 0.2


def test_what_prefect_cannot_take_does_not_fail_a_finished_run(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise ConnectionError("server is gone")

    monkeypatch.setattr(prefect_artifacts, "create_markdown_artifact", refuse)
    told: list[str] = []
    session = SimpleNamespace(run=run, display=SimpleNamespace(line=told.append))
    prefect_artifacts.publish_outcome(session)
    assert told == [
        "no artifact for Prefect's UI (ConnectionError: server is gone); the run goes on"
    ]


def test_what_could_not_be_graded_is_told_beside_the_mean() -> None:
    measured = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 10, "unscored": 3}
    assert percent(measured) == "50.0 % [40.0, 60.0], 3 not graded"
    assert percent({**measured, "unscored": 0}) == "50.0 % [40.0, 60.0]"
    assert percent({**measured, "mean": None}) == "–, 3 not graded"


def test_a_runs_folder_cannot_steer_the_terminal(run: Run) -> None:
    named = "a\x1b]0;owned\x07[red]"
    run.path.rename(run.path.with_name(named))
    console = Console(width=150, highlight=False)
    with console.capture() as captured:
        print_runs(run.store.root, [Run(run.store, named)], console)
    assert "a\\x1b]0;owned\\x07[red]" in captured.get()
