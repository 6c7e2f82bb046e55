import math

import pytest

from evals.config import EvalConfig, GateConfig, GuardConfig
from evals.gate import Pairs, check_guard, decide, pair
from evals.summary import problem_means, summarize
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


def make_pairs(gained: int, lost: int, same: int, unscored: int = 0) -> Pairs:
    before = [0.0] * gained + [1.0] * lost + [1.0] * same
    after = [1.0] * gained + [0.0] * lost + [1.0] * same
    ids = tuple(f"p{i}" for i in range(len(before)))
    return Pairs(ids, tuple(before), tuple(after), unscored)


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


def test_too_many_unscored_pairs_make_no_decision() -> None:
    decision = decide(GateConfig(), make_pairs(60, 10, same=100, unscored=20))
    assert not decision.promoted
    assert "could not be graded" in decision.reason


def test_several_completions_per_problem_go_to_the_paired_bootstrap() -> None:
    ids = tuple(f"p{i}" for i in range(200))
    before = tuple(0.25 for _ in ids)
    better = decide(GateConfig(), Pairs(ids, before, tuple(0.5 for _ in ids), 0))
    assert (better.test, better.promoted) == ("bootstrap", True)
    assert not decide(GateConfig(), Pairs(ids, before, before, 0)).promoted


def test_a_guard_tolerates_its_margin_and_no_more() -> None:
    guard = GuardConfig(margin=0.05)
    assert check_guard("gsm8k", guard, make_pairs(50, 50, same=900)).promoted
    assert not check_guard("gsm8k", guard, make_pairs(0, 100, same=900)).promoted


def test_pairing_leaves_out_what_either_side_could_not_score() -> None:
    pairs = pair({"a": 1.0, "b": 0.0}, {"a": 0.0, "c": 1.0}, total=3)
    assert (pairs.ids, pairs.unscored, pairs.lost) == (("a",), 2, 1)


def test_unscored_is_not_zero() -> None:
    rows = [make_row("a", True), make_row("b", None), make_row("c", False)]
    assert problem_means(rows) == {"a": 1.0, "c": 0.0}
    summary = summarize(rows, 0.95)
    assert (summary["mean"], summary["n"], summary["unscored"]) == (0.5, 2, 1)


def test_the_mean_is_over_problems_and_by_level() -> None:
    rows = [make_row("a", True, 0), make_row("a", False, 1), make_row("b", True, 0, level=2)]
    summary = summarize(rows, 0.95)
    assert summary["mean"] == pytest.approx(0.75)
    assert summary["by_level"]["1"]["mean"] == 0.5
    assert summary["by_level"]["2"]["n"] == 1
    assert summary["low"] <= 0.75 <= summary["high"]


def test_an_empty_benchmark_has_no_mean() -> None:
    assert summarize([], 0.95)["mean"] is None


def test_greedy_with_several_completions_is_a_config_error() -> None:
    with pytest.raises(ValueError, match="temperature=0 makes all 4"):
        EvalConfig(group_size=4)
