import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet.errors import InputError
from ratchet.store.artifacts import Store
from ratchet.store.ledger import (
    LedgerEntry,
    Redo,
    Run,
    StepKey,
    list_runs,
    reached_iterations,
    redo_from,
)


def make_entry(step: str, iteration: int | None, stage: str) -> LedgerEntry:
    return LedgerEntry(
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
    ("key", "step"),
    [
        (StepKey(0, "sample"), "0/sample"),
        (StepKey(1, "select", "dpo-2"), "1/select/dpo-2"),
        (StepKey(1, "eval", "gsm8k"), "1/eval/gsm8k"),
        (StepKey(1, "eval", "eval"), "1/eval/eval"),
        (StepKey(None, "eval"), "base/eval"),
        (StepKey(None, "eval", "gsm8k"), "base/eval/gsm8k"),
        (StepKey(None, "test", "final"), "test/final"),
    ],
)
def test_every_stage_of_a_run_has_a_step_of_its_own_and_is_read_back_from_it(
    key: StepKey, step: str
) -> None:
    assert key.step == step
    assert make_entry(step, key.iteration, key.stage).key == key


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


@pytest.mark.parametrize("name", ["", "../x", "../..", "a/b", ".hidden", "a b", "x" * 300])
def test_names_that_cant_be_folders_are_refused(tmp_path: Path, name: str) -> None:
    for make in (lambda store: Run.create(store, name, {}), lambda store: Run.open(store, name)):
        with pytest.raises(InputError, match="run name"):
            make(Store(tmp_path))
    assert not any(tmp_path.iterdir())


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


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works on the run `demo` until it is killed."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom ratchet.store.ledger import Run\n"
        "from ratchet.store.artifacts import Store\n"
        "with Run.open(Store(Path(sys.argv[1])), 'demo').working():\n"
        "    print('at work', flush=True)\n    time.sleep(60)\n"
    )
    make_run(tmp_path)
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process
        process.kill()


def test_a_run_that_is_being_worked_on_is_refused_and_says_by_whom(
    tmp_path: Path, at_work: subprocess.Popen[str]
) -> None:
    run = Run.open(Store(tmp_path), "demo")
    assert run.status()["state"] == "running"
    who = f"is being worked on by pid {at_work.pid} on {socket.gethostname()}"
    with pytest.raises(InputError, match=who):
        run.check_free()
    with pytest.raises(InputError, match=who), run.working():
        pass


def test_a_run_whose_process_was_killed_is_interrupted_and_not_running(
    tmp_path: Path, at_work: subprocess.Popen[str]
) -> None:
    at_work.kill()
    at_work.wait()
    run = Run.open(Store(tmp_path), "demo")
    assert run.status()["state"] == "interrupted"
    with run.working():
        assert run.status()["state"] == "running"


def test_a_wish_that_is_repeated_before_anything_was_done_counts_once(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for _ in range(2):
        run.record(make_entry("0/sample", 0, "sample"))
        run.redo(redo_from(run, 0, "sample"))
        run.redo(redo_from(run, 0, "sample"))
    assert run.redo_count(0, "sample") == 2


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
