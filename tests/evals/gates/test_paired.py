from dataclasses import replace

import pytest

from evals.attempts import gather
from evals.config import McNemarGate, PairedGate
from evals.gates.looks import decide
from evals.gates.paired import Pairs, Unscored, pair
from evals.gates.regressions import check_pinned, pinned_regressions, regressions
from ratchet.errors import InputError
from ratchet.generation.engine import PROMPT_TOO_LONG
from tests.helpers.contested import Groups, answered, pairs_of
from tests.helpers.graded import dead


def paired(before: Groups, after: Groups) -> Pairs:
    return pair(answered(before), answered(after))


def test_what_has_no_verdict_counts_against_the_candidate_on_both_sides() -> None:
    pairs = paired([[True, None], [False, False]], [[True, True], [True, None]])
    assert (pairs.incumbent.tolist(), pairs.candidate.tolist()) == ([1.0, 0.0], [1.0, 0.5])
    assert pairs.unscored == Unscored(incumbent=1, candidate=1, completions=4)
    assert pairs.completions == 2
    assert "counted against the candidate: 1 of its completions, 1 of the incumbent's" in pairs.note


def test_the_interval_ends_where_what_has_no_verdict_is_counted_for_the_candidate() -> None:
    before: Groups = [[True, False]] * 50 + [[True, True]] * 50
    after: Groups = [[True, True]] * 10 + [[True, None]] * 40 + [[True, True]] * 50
    graded: Groups = [[True, True]] * 100
    assert paired(before, after).difference == pytest.approx(0.05)
    assert paired(before, after).interval().high == paired(before, graded).interval().high
    assert paired(before, after).interval().low < 0.05


def test_evaluations_of_different_problems_are_not_paired() -> None:
    with pytest.raises(ValueError, match="1 problems were answered by one side alone"):
        pair(answered([[True]]), answered([[True], [True]]))


@pytest.mark.parametrize("refused", [0, 10, 500])
def test_a_problem_that_neither_side_was_asked_is_left_out(refused: int) -> None:
    before, after = answered([[i >= 20] for i in range(1000)]), answered([[True]] * 1000)
    unasked = gather(replace(dead(PROMPT_TOO_LONG), problem_id=f"long{i}") for i in range(refused))
    decision = decide(McNemarGate(), [pair(before | unasked, after | unasked)], (1,), 0.01)
    assert (decision.gained, decision.lost, decision.pairs) == (20, 0, 1000)
    assert (decision.promoted, decision.p) == (True, 0.5**21)
    assert decision.left_out == refused
    assert ("left out" in decision.reason) == bool(refused)


def test_a_candidate_that_times_out_on_what_it_gets_wrong_gains_nothing() -> None:
    """Attempts without a verdict once vanished from a problem's mean: 1 right and 3 timed out
    counted as 100 %, and beat 2 right of 4 at p=0.0001."""
    pairs = paired([[True, True, False, False]] * 200, [[True, None, None, None]] * 200)
    decision = decide(PairedGate(looks=(4,)), [pairs], (4,), 0.01)
    assert (decision.verdict, decision.p) == ("kept", None)
    assert "600 of the candidate's 800 completions could not be graded" in decision.reason
    lax = PairedGate(looks=(4,), max_unscored=0.9, max_unscored_difference=0.9)
    assert not decide(lax, [pairs], (4,), 0.01).promoted
    assert pairs.difference == -0.25


def test_the_difference_of_the_sides_is_bounded_where_each_may_have_many() -> None:
    lax = PairedGate(max_unscored=0.5)
    assert Unscored(40, 42, 200).objection(lax) is None
    objection = Unscored(40, 44, 200).objection(lax)
    assert objection is not None
    assert "4 more on one side than on the other, of 200 completions" in objection


@pytest.mark.parametrize("whose", ["incumbent", "candidate"])
def test_where_nothing_could_be_graded_the_grader_is_broken(whose: str) -> None:
    good: Groups = [[True, False]] * 50
    sides = {"incumbent": good, "candidate": good, whose: [[None, None]] * 50}
    pairs = paired(sides["incumbent"], sides["candidate"])
    decision = decide(PairedGate(), [pairs], (2, 4, 8), 0.01)
    assert (decision.verdict, len(decision.looks)) == ("kept", 1)
    assert f"the grader is broken: none of the {whose}'s 100 completions" in decision.reason


def test_regressions_are_listed_with_the_largest_drop_first() -> None:
    pairs = pairs_of([1.0, 0.5, 1.0, 0.0], [0.75, 0.5, 0.25, 1.0], 4)
    assert [(each.problem_id, each.candidate) for each in regressions(pairs)] == [
        ("p2", 0.25),
        ("p0", 0.75),
    ]


def test_a_pinned_problem_regresses_where_most_of_its_completions_turn_wrong() -> None:
    pairs = pairs_of([1.0, 0.5, 0.25, 1.0], [0.5, 0.25, 0.0, 0.0], 4)
    found = pinned_regressions(pairs, ("p0", "p1", "p2"))
    assert [each.problem_id for each in found] == ["p1"]


def test_a_pinned_id_that_is_not_in_dev_is_refused_by_name() -> None:
    check_pinned(("a", "b"), {"a", "b", "c"})
    with pytest.raises(InputError, match="names 'x', 'y', not among the 1 dev problems"):
        check_pinned(("y", "x", "a"), ["a"])
