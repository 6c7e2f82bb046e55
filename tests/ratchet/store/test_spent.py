"""What a run has used up: no resume, redo or fork gets any of it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet.errors import InputError
from ratchet.store.artifacts import Store
from ratchet.store.ledger import Run, Suspended
from ratchet.store.spent import Spent


def evenly(number: int, before: tuple[float, bool] | None) -> float:
    """A level of 1 % to each of five decisions, and what the last one left after a promotion."""
    recycled = before[0] if before and before[1] else 0.0
    return recycled + (0.01 if number <= 5 else 0.0)


def make_run(tmp_path: Path, name: str = "a") -> Run:
    return Run.create(Store(tmp_path), name, {"seed": 0})


def test_a_contest_keeps_the_level_that_it_was_given_first(tmp_path: Path) -> None:
    spent = make_run(tmp_path).spent
    first = spent.reserve("x", "0/gate", evenly)
    again = Run.open(Store(tmp_path), "a").spent.reserve("x", "0/gate", evenly)
    assert first == again
    assert [each.number for each in spent.reservations()] == [1]


def test_a_promotion_hands_its_level_on_and_nothing_else_does(tmp_path: Path) -> None:
    spent = make_run(tmp_path).spent
    for contest, promoted in (("x", True), ("y", True), ("z", False), ("w", False)):
        spent.reserve(contest, "gate", evenly)
        spent.settle(contest, promoted)
    levels = [each.level for each in spent.reservations()]
    assert levels == pytest.approx([0.01, 0.02, 0.03, 0.01])


def test_what_was_reserved_and_never_decided_counts_as_not_promoted(tmp_path: Path) -> None:
    spent = make_run(tmp_path).spent
    spent.reserve("x", "0/gate", evenly)
    assert spent.reserve("y", "1/gate", evenly).level == pytest.approx(0.01)


def test_a_fork_goes_on_where_its_parent_ended(tmp_path: Path) -> None:
    parent, child = make_run(tmp_path).spent, make_run(tmp_path, "b").spent
    for number in range(5):
        parent.reserve(f"x{number}", "gate", evenly)
    parent.begin_reading("p")
    parent.finish_reading()
    child.inherit(parent)
    sixth = child.reserve("y", "0/gate", evenly)
    assert (sixth.number, sixth.run, sixth.level) == (6, "b", 0.0)
    assert child.begin_reading("q").number == 2


def test_a_reading_that_was_cut_off_is_one_and_a_finished_one_is_followed_by_another(
    tmp_path: Path,
) -> None:
    spent = make_run(tmp_path).spent
    assert spent.begin_reading("p").number == 1
    assert spent.begin_reading("p").number == 1
    spent.finish_reading()
    assert spent.begin_reading("p").number == 2
    assert [each.finished for each in Spent(tmp_path / "runs" / "a", "a").readings()] == [
        True,
        False,
    ]


def test_a_suspended_run_says_what_it_waits_for_and_takes_one_answer(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with pytest.raises(InputError, match="waits for no decision"):
        run.answer(promote=True, by="me", note="")

    def wait() -> None:
        with run.working():
            run.ask("x", 0, {"reason": "+3 points"})
            raise Suspended("iteration 0 waits")

    with pytest.raises(Suspended):
        wait()
    assert (run.status()["state"], run.status()["reason"]) == ("suspended", "iteration 0 waits")
    assert run.answer(promote=True, by="me", note="looks right")["numbers"] == {
        "reason": "+3 points"
    }
    assert run.answers()["x"]["promote"] is True
    with pytest.raises(InputError, match="waits for no decision"):
        run.answer(promote=False, by="me", note="")
