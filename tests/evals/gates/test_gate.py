import math
from dataclasses import replace

import pytest

from evals.attempts import gather
from evals.config import EvalConfig, GateConfig, GuardConfig
from evals.gates.guards import check_guard
from evals.gates.paired import Pairs, Unscored, decide, pair
from ratchet.generation.engine import PROMPT_TOO_LONG
from ratchet.records import EvalRow


def make_row(problem_id: str, correct: bool | None, attempt: int = 0, level: int = 1) -> EvalRow:
    return EvalRow(
        benchmark="dev",
        problem_id=problem_id,
        attempt=attempt,
        completion="",
        answer=None,
        correct=correct,
        reason="equal_string" if correct else "different",
        finish_reason="stop",
        num_tokens=5,
        level=level,
    )


def make_pairs(
    gained: int, lost: int, same: int, unscored_incumbent: int = 0, unscored_candidate: int = 0
) -> Pairs:
    before = [0.0] * gained + [1.0] * lost + [1.0] * same
    after = [1.0] * gained + [0.0] * lost + [1.0] * same
    ids = tuple(f"p{i}" for i in range(len(before)))
    unscored = Unscored(unscored_incumbent, unscored_candidate, len(ids))
    return Pairs(ids, tuple(before), tuple(after), unscored)


def pair_rows(incumbent: list[list[bool | None]], candidate: list[list[bool | None]]) -> Pairs:
    """Pairs of problems, each given by its attempts' verdicts."""
    sides = [
        gather(
            make_row(f"p{i}", verdict, at)
            for i, group in enumerate(side)
            for at, verdict in enumerate(group)
        )
        for side in (incumbent, candidate)
    ]
    return pair(*sides)


@pytest.mark.parametrize(
    ("gained", "lost", "promoted"),
    [(5, 0, True), (4, 0, False), (31, 28, False), (60, 30, True), (28, 60, False), (0, 0, False)],
)
def test_mcnemar_decides_on_the_discordant_problems(gained: int, lost: int, promoted: bool) -> None:
    decision = decide(GateConfig(), make_pairs(gained, lost, same=100))
    tail = sum(math.comb(gained + lost, k) for k in range(gained, gained + lost + 1))
    assert decision.p == pytest.approx(tail / 2 ** (gained + lost))
    assert decision.promoted is promoted
    assert f"{gained} gained, {lost} lost" in decision.reason


def test_a_candidate_that_memorised_train_but_not_dev_is_not_promoted() -> None:
    assert not decide(GateConfig(), make_pairs(gained=20, lost=19, same=400)).promoted


@pytest.mark.parametrize("side", ["unscored_incumbent", "unscored_candidate"])
def test_too_many_unscored_completions_of_either_side_make_no_decision(side: str) -> None:
    decision = decide(GateConfig(), make_pairs(60, 10, same=100, **{side: 20}))
    assert (decision.promoted, decision.p) == (False, None)
    whose = side.removeprefix("unscored_")
    assert decision.reason.startswith(f"20 of the {whose}'s 170 completions could not be graded")


def test_the_difference_of_the_sides_is_bounded_where_each_may_have_many() -> None:
    lax = GateConfig(max_unscored=0.5)
    assert decide(lax, make_pairs(60, 10, 130, 40, 40)).promoted
    decision = decide(lax, make_pairs(60, 10, 130, 40, 44))
    assert not decision.promoted
    assert "4 more on one side than on the other, of 200 completions" in decision.reason


def test_a_candidate_that_times_out_on_what_it_gets_wrong_gains_nothing() -> None:
    """Attempts without a verdict once vanished from a problem's mean: 1 right and 3 timed out
    counted as 100 %, and beat 2 right of 4 at p=0.0001."""
    incumbent: list[list[bool | None]] = [[True, True, False, False]] * 200
    candidate: list[list[bool | None]] = [[True, None, None, None]] * 200
    pairs = pair_rows(incumbent, candidate)
    decision = decide(GateConfig(), pairs)
    assert not decision.promoted
    assert "600 of the candidate's 800 completions could not be graded" in decision.reason
    lax = GateConfig(max_unscored=0.9, max_unscored_difference=0.9)
    assert not decide(lax, pairs).promoted
    assert pairs.difference == -0.25


def test_what_has_no_verdict_counts_against_the_candidate_on_both_sides() -> None:
    pairs = pair_rows([[True, None], [False, False]], [[True, True], [True, None]])
    assert (pairs.incumbent, pairs.candidate) == ((1.0, 0.0), (1.0, 0.5))
    assert pairs.unscored == Unscored(incumbent=1, candidate=1, completions=4)
    reason = decide(GateConfig(max_unscored=0.5), pairs).reason
    assert "counted against the candidate: 1 of its completions, 1 of the incumbent's" in reason


def test_several_completions_per_problem_go_to_the_paired_bootstrap() -> None:
    ids = tuple(f"p{i}" for i in range(200))
    before = tuple(0.25 for _ in ids)
    better = decide(GateConfig(), Pairs(ids, before, tuple(0.5 for _ in ids)))
    assert (better.test, better.promoted) == ("bootstrap", True)
    assert not decide(GateConfig(), Pairs(ids, before, before)).promoted


def test_a_guard_tolerates_its_margin_and_no_more() -> None:
    guard, gate = GuardConfig(margin=0.05), GateConfig()
    assert check_guard("gsm8k", guard, gate, make_pairs(50, 50, same=900)).promoted
    assert not check_guard("gsm8k", guard, gate, make_pairs(0, 100, same=900)).promoted


@pytest.mark.parametrize("unscored", [90, 100])
def test_a_guard_that_was_not_graded_holds_the_candidate_back(unscored: int) -> None:
    """90 % without a verdict once passed, and all of them were a traceback."""
    verdicts: list[list[bool | None]] = [[None]] * unscored + [[True]] * (100 - unscored)
    decision = check_guard("gsm8k", GuardConfig(), GateConfig(), pair_rows(verdicts, verdicts))
    assert not decision.promoted
    assert f"guard gsm8k: {unscored} of the incumbent's 100" in decision.reason


def test_greedy_with_several_completions_is_a_config_error() -> None:
    with pytest.raises(ValueError, match="temperature=0 makes all 4"):
        EvalConfig(group_size=4)


@pytest.mark.parametrize("refused", [0, 10, 500])
def test_a_problem_that_neither_side_was_asked_is_left_out(refused: int) -> None:
    before = [make_row(f"p{i}", i >= 20) for i in range(1000)]
    after = [make_row(f"p{i}", True) for i in range(1000)]
    too_long = [replace(make_row(f"long{i}", None), reason=PROMPT_TOO_LONG) for i in range(refused)]
    pairs = pair(*(gather(rows + too_long) for rows in (before, after)))
    decision = decide(GateConfig(), pairs)
    assert (decision.gained, decision.lost, decision.pairs) == (20, 0, 1000)
    assert (decision.promoted, decision.p) == (True, 0.5**20)
    assert decision.left_out == refused
    assert ("left out" in decision.reason) == bool(refused)
    held = check_guard("g", GuardConfig(), GateConfig(), pairs)
    assert (held.promoted, held.left_out) == (True, refused)


def test_evaluations_of_different_problems_are_not_paired() -> None:
    before, after = (gather([make_row(i, True)]) for i in ("p0", "p1"))
    with pytest.raises(ValueError, match="2 problems were answered by one side alone"):
        pair(before, after)
