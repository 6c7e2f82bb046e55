"""Contests of recorded policies: looks, the ledger of alpha, guards, a person's word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.session import Session
from flows.stages import deciding, evaluating
from flows.stages.inputs import LoadedSets
from ratchet.generation.engine import EngineDied
from ratchet.records import EvalRow
from ratchet.store.artifacts import Artifact
from ratchet.store.ledger import Redo, Suspended
from tests.helpers.contests import SIZE, Contests, dev_problems, policy, rows_of

BASE, BETTER, SAME, WORSE = -1, 0, 1, 2
SHARES = {BASE: 0.3, BETTER: 0.6, SAME: 0.3, WORSE: 0.1}


@pytest.fixture
def contests(tmp_path: Path) -> Contests:
    made = Contests(tmp_path, SHARES)
    made.record_dev()
    return made


@dataclass
class Decided:
    """A decision, and the steps that its run took for it."""

    gate: Artifact
    steps: Mapping[str, str]

    @property
    def verdict(self) -> str:
        return str(self.gate.metrics["verdict"])


def base_look(session: Session, sets: LoadedSets) -> Artifact:
    side = evaluating.ContestSide(policy(BASE), "incumbent")
    return evaluating.look(session, None, side, 0, sets["dev"])


def contest(
    session: Session, sets: LoadedSets, candidate: int, incumbent: int = BASE, iteration: int = 0
) -> Decided:
    of = deciding.contest_of(
        iteration, base_look(session, sets), policy(incumbent), policy(candidate)
    )
    gate = deciding.against_incumbent(session, of, sets)
    entries = session.run.entries().values()
    return Decided(gate, {entry.step: entry.identity for entry in entries})


def levels(session: Session) -> list[float]:
    return [each.level for each in session.run.spent.reservations()]


def test_a_large_gain_is_promoted_at_the_first_look_and_pays_for_no_more(
    contests: Contests,
) -> None:
    with contests.session() as (session, sets):
        decided = contest(session, sets, BETTER)
    assert decided.verdict == "promoted"
    assert set(decided.steps) == {"base/eval", "0/eval", "0/eval/dev/incumbent", "0/gate"}
    assert decided.gate.metrics["candidate"]["completions"] == 2 * SIZE
    assert decided.gate.metrics["level"] == pytest.approx(0.01)
    assert decided.gate.metrics["regressed"] == len(decided.gate.metrics["regressions"]) or (
        decided.gate.metrics["regressed"] > 20
    )


def test_a_candidate_that_is_behind_is_dropped_at_the_second_look(contests: Contests) -> None:
    with contests.session() as (session, sets):
        decided = contest(session, sets, WORSE)
    assert decided.verdict == "kept"
    assert "0/eval/dev/look-2" in decided.steps
    assert "0/eval/dev/look-3" not in decided.steps


def test_each_look_draws_only_what_is_new(contests: Contests) -> None:
    with contests.session() as (session, sets):
        decided = contest(session, sets, SAME)
        looks = [
            session.store.find(decided.steps[f"0/eval{look}"])
            for look in ("", "/dev/look-2", "/dev/look-3")
        ]
    assert decided.verdict in ("kept", "underpowered")
    drawn = [sorted({row.attempt for row in look.rows(EvalRow)}) for look in looks if look]
    assert drawn == [[0, 1], [2, 3], [4, 5, 6, 7]]


def test_a_resumed_contest_has_the_alpha_it_had_and_makes_nothing_anew(
    contests: Contests,
) -> None:
    with contests.session() as (session, sets):
        first = contest(session, sets, SAME)
        again = contest(session, sets, SAME)
        assert again.gate.identity == first.gate.identity
        assert levels(session) == pytest.approx([0.01])


def test_redo_and_fork_get_no_new_alpha(contests: Contests) -> None:
    """A planned run of five: after five decisions there is none left, whoever asks."""
    with contests.session() as (session, sets):
        for times in range(5):
            contest(session, sets, SAME)
            session.run.redo(Redo(0, "eval"))
            assert len(levels(session)) == times + 1
            assert bool(deciding.what_is_spent(session)) == (times == 4)
        sixth = contest(session, sets, BETTER)
        assert levels(session) == pytest.approx([0.01] * 5 + [0.0])
        assert sixth.verdict == "underpowered"
        assert "alpha" in sixth.gate.metrics["reason"]
        parent = session.run
    with contests.session(run="fork") as (session, sets):
        session.run.spent.inherit(parent.spent)
        forked = contest(session, sets, BETTER)
        assert levels(session) == pytest.approx([0.01] * 5 + [0.0] * 2)
        assert forked.verdict == "underpowered"


def test_a_promotion_leaves_alpha_for_one_more_decision(contests: Contests) -> None:
    with contests.session("iterations=1") as (session, sets):
        assert deciding.what_is_spent(session) is None
        contest(session, sets, BETTER)
        assert deciding.what_is_spent(session) is None
        contest(session, sets, SAME, incumbent=BETTER, iteration=1)
        assert "spent by 2 decisions" in str(deciding.what_is_spent(session))


def test_a_promotion_hands_its_level_on(contests: Contests) -> None:
    with contests.session() as (session, sets):
        contest(session, sets, BETTER)
        contest(session, sets, SAME, incumbent=BETTER, iteration=1)
        contest(session, sets, SAME, incumbent=BETTER, iteration=2)
        assert levels(session) == pytest.approx([0.01, 0.02])


def test_a_new_incumbent_is_measured_afresh_and_an_old_one_only_once(contests: Contests) -> None:
    with contests.session() as (session, sets):
        first = contest(session, sets, BETTER)
        second = contest(session, sets, SAME, incumbent=BETTER, iteration=1)
        third = contest(session, sets, WORSE, incumbent=BETTER, iteration=2)
    fresh = second.steps["1/eval/dev/incumbent"]
    assert fresh not in (first.steps["0/eval"], first.steps["0/eval/dev/incumbent"])
    assert third.steps["2/eval/dev/incumbent"] == fresh
    assert first.steps["0/eval/dev/incumbent"] == first.steps["base/eval"]


def test_a_person_is_asked_with_the_numbers_and_decides(contests: Contests) -> None:
    settings = 'gate={kind="manual"}'
    with contests.session(settings) as (session, sets):
        with pytest.raises(Suspended, match=r"ratchet decide a yes"):
            contest(session, sets, WORSE)
        numbers = session.run.question["numbers"]
        assert numbers["difference"] == pytest.approx(-0.2, abs=0.03)
        session.run.answer(promote=True, by="me", note="for the sake of the argument")
        assert contest(session, sets, WORSE).verdict == "promoted"
        with pytest.raises(Suspended):
            contest(session, sets, SAME, iteration=1)
        session.run.answer(promote=False, by="me", note="")
        assert contest(session, sets, SAME, iteration=1).verdict == "kept"
        assert levels(session) == []


def test_the_base_model_against_itself_spends_no_alpha(contests: Contests) -> None:
    with contests.session() as (session, sets):
        session.base = policy(BASE)
        decided = deciding.against_itself(session, base_look(session, sets), sets)
        assert decided.metrics["promoted"] is False
        assert levels(session) == []
        assert {"aa", "base/eval/dev/aa"} <= {
            entry.step.removeprefix("base/aa") or "aa" for entry in session.run.entries().values()
        }


def test_a_pinned_problem_that_regresses_keeps_the_incumbent(contests: Contests) -> None:
    """The candidate is far better, and loses the one problem that may not be lost."""
    first, others = dev_problems()[:1], dev_problems()[1:]
    held, new = 3, 4
    for iteration, share, of_first in ((held, 0.3, 1.0), (new, 0.6, 0.0)):
        contests.record(rows_of(others, iteration, share))
        contests.record(rows_of(first, iteration, of_first))
    pinned = first[0].problem_id
    with contests.session(f'gate.pinned=["{pinned}"]') as (session, sets):
        decided = contest(session, sets, new, incumbent=held)
    assert decided.verdict == "kept"
    assert pinned in decided.gate.metrics["reason"]
    with contests.session(run="free") as (session, sets):
        assert contest(session, sets, new, incumbent=held).verdict == "promoted"


def test_an_engine_that_died_in_an_evaluation_is_asked_again(
    contests: Contests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_CRASH_AT", "engine_step:2")
    with contests.session() as (session, sets):
        with pytest.raises(EngineDied):
            contest(session, sets, BETTER)
        monkeypatch.delenv("RATCHET_CRASH_AT")
        decided = contest(session, sets, BETTER)
        assert levels(session) == pytest.approx([0.01])
    assert decided.verdict == "promoted"
    assert decided.gate.metrics["unscored_candidate"] == 0
