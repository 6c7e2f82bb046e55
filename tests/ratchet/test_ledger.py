from pathlib import Path

import pytest

from ratchet.errors import InputError
from ratchet.ledger import Entry, Redo, Run, list_runs, redo_from
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
