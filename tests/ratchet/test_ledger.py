from pathlib import Path

import pytest

from ratchet.errors import InputError
from ratchet.ledger import Entry, Place, Redo, Run, list_runs, reached_iterations, redo_from
from ratchet.store import Store


def make_entry(step: str, iteration: int | None, stage: str) -> Entry:
    return Entry(
        step=step,
        iteration=iteration,
        stage=stage,
        identity=f"{stage}-x",
        fingerprint="f",
        reused=False,
        seconds=1.0,
    )


def make_run(tmp_path: Path, name: str = "demo") -> Run:
    return Run.create(Store(tmp_path), name, {"trainer": {"min_rows": 1}})


@pytest.mark.parametrize(
    ("place", "step"),
    [
        (Place(0, "sample"), "0/sample"),
        (Place(1, "select", "dpo-2"), "1/select/dpo-2"),
        (Place(1, "eval", "gsm8k"), "1/eval/gsm8k"),
        (Place(1, "eval", "eval"), "1/eval/eval"),
        (Place(None, "eval"), "base/eval"),
        (Place(None, "eval", "gsm8k"), "base/eval/gsm8k"),
        (Place(None, "test", "final"), "test/final"),
    ],
)
def test_every_stage_of_a_run_has_a_step_of_its_own_and_is_read_back_from_it(
    place: Place, step: str
) -> None:
    assert place.step == step
    assert make_entry(step, place.iteration, place.stage).place == place


def test_the_iterations_reached_are_told_once_and_in_order() -> None:
    known = [("1/sample", 1), ("base/eval", None), ("0/gate", 0), ("0/eval/gsm8k", 0)]
    entries = {step: make_entry(step, at, step.split("/")[1]) for step, at in known}
    assert reached_iterations(entries) == [0, 1]


def test_a_run_of_the_same_name_and_config_is_the_same_run(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.record(make_entry("0/sample", 0, "sample"))
    assert list(make_run(tmp_path).entries()) == ["0/sample"]


def test_a_name_taken_by_another_config_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path)
    with pytest.raises(InputError, match="another config"):
        Run.create(Store(tmp_path), "demo", {"other": 1})


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b"])
def test_names_that_cant_be_folders_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="can't name a folder"):
        Run.create(Store(tmp_path), name, {})


def test_opening_a_missing_run_names_those_there(tmp_path: Path) -> None:
    make_run(tmp_path, "one")
    with pytest.raises(InputError, match="runs there: one"):
        Run.open(Store(tmp_path), "two")
    assert [run.name for run in list_runs(Store(tmp_path))] == ["one"]


def test_status_is_written_once_by_the_lock_holder(tmp_path: Path) -> None:
    run = make_run(tmp_path)

    def fail() -> None:
        with run.working():
            assert run.status()["state"] == "running"
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert run.status()["state"] == "failed"
    assert "broken" in run.status()["reason"]
    with run.working():
        pass
    assert run.status()["state"] == "done"


def test_redo_covers_what_follows_and_takes_it_out_of_the_ledger(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for entry in (
        make_entry("base/eval", None, "eval"),
        make_entry("0/sample", 0, "sample"),
        make_entry("0/train", 0, "train"),
        make_entry("1/sample", 1, "sample"),
        make_entry("test/base", None, "test"),
    ):
        run.record(entry)
    run.redo(Redo(0, "train"))
    assert list(run.entries()) == ["base/eval", "0/sample"]
    assert run.redo_count(0, "sample") == 0
    assert run.redo_count(0, "eval") == 1
    assert run.redo_count(1, "sample") == 1
    assert run.redo_count(None, "eval") == 0


def test_redo_from_where_the_run_never_was_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.record(make_entry("0/sample", 0, "sample"))
    with pytest.raises(InputError, match="it has 0 to 0"):
        redo_from(run, 1, "sample")
    with pytest.raises(InputError, match="is no stage"):
        redo_from(run, 0, "sampling")
    assert redo_from(run, 0, "train") == Redo(0, "train")
