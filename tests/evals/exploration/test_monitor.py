"""Counts and figures against counting by hand, and against resampling by brute force."""

from itertools import combinations

import numpy as np
import pytest

from evals.exploration.figures import against_base, ks, pass_at, summary
from evals.exploration.monitor import ExplorationRow, ExploredCompletion, balance, explore
from evals.metrics.intervals import bootstrap_interval


def make_completion(
    text: str, correct: bool | None = True, accepted: bool | None = None
) -> ExploredCompletion:
    taken = bool(correct) if accepted is None else accepted
    return ExploredCompletion(text, 3, -1.0, correct, taken)


def make_row(problem_id: str, scored: int, correct: int, **more: int) -> ExplorationRow:
    given = {
        "drawn": scored,
        "unique": min(correct, 1),
        "accepted": correct,
        "accepted_unique": min(correct, 1),
        "equations": 0,
        "distinct": 0,
    }
    return ExplorationRow(
        problem_id=problem_id, scored=scored, correct=correct, **{**given, **more}
    )


def rows_of(*counts: tuple[int, int]) -> dict[str, ExplorationRow]:
    return {f"p{i}": make_row(f"p{i}", n, c) for i, (n, c) in enumerate(counts)}


def test_texts_that_differ_in_white_space_only_are_one() -> None:
    group = [make_completion(t) for t in ("so 4", "so  4\n", " so 4", "so 5", "So 4")]
    row = explore("p", group)
    assert (row.drawn, row.scored, row.correct, row.unique) == (5, 5, 5, 3)


def test_what_is_wrong_or_has_no_verdict_is_no_solution() -> None:
    group = [make_completion("a"), make_completion("b", None), make_completion("c", False)]
    row = explore("p", group)
    assert (row.drawn, row.scored, row.correct, row.unique) == (3, 2, 1, 1)


def test_equations_are_those_of_correct_completions_in_one_spelling() -> None:
    group = [
        make_completion("3*4=12 and 12+1=13"),
        make_completion(r"$3 \times 4 = 12$, so 12 + 2 = 14"),
        make_completion("3*4=12  and 12+1=13"),
        make_completion("5+5=10", False),
    ]
    row = explore("p", group)
    # 2 + 2 + 2 written, of which 3*4=12, 12+1=13 and 12+2=14 are different.
    assert (row.equations, row.distinct) == (6, 3)


def test_an_equation_written_twice_in_one_text_counts_twice() -> None:
    row = explore("p", [make_completion("3*4=12. Again: 3*4=12.")])
    assert (row.equations, row.distinct) == (2, 1)


@pytest.mark.parametrize(
    ("accepted", "unique", "wanted", "score"),
    [(0, 0, 4, 0.0), (8, 8, 4, 1.0), (8, 4, 4, 0.5), (2, 2, 4, 0.5), (3, 1, 4, 1 / 12)],
)
def test_the_balance_score_is_b_stars(
    accepted: int, unique: int, wanted: int, score: float
) -> None:
    row = make_row("p", 8, accepted, accepted=accepted, accepted_unique=unique)
    assert balance(row, wanted) == pytest.approx(score)


def test_a_balance_score_needs_rows_to_be_wanted() -> None:
    with pytest.raises(ValueError, match="wanted=0"):
        balance(make_row("p", 1, 1), 0)


def test_accepted_but_wrong_lowers_the_balance_score() -> None:
    """Where the outcome filter only marks, what trains may be wrong: the quality half falls."""
    group = [make_completion("a"), make_completion("b", False, accepted=True)]
    row = explore("p", group)
    assert (row.accepted, row.accepted_unique) == (2, 1)
    assert balance(row, 1) == 0.5


def test_means_are_over_problems_with_a_verdict() -> None:
    rows = {
        "a": make_row("a", 4, 2, unique=2, equations=6, distinct=3),
        "b": make_row("b", 4, 0, equations=0),
        "c": make_row("c", 0, 0, drawn=4),
        "d": make_row("d", 4, 1, unique=1, equations=2, distinct=1),
    }
    shown = summary(rows, wanted=2)
    assert (shown["problems"], shown["left_out"], shown["unscored"]) == (3, 1, 4)
    assert (shown["solved"], shown["coverage"]) == (2, pytest.approx(2 / 3))
    assert shown["unique_per_problem"] == 1.0
    assert shown["unique_per_solved"] == 1.5
    assert (shown["equations"], shown["distinct_share"]) == (8, 0.5)
    assert shown["balance"] == pytest.approx((0.5 * 0.5 + 0 + 0.5 * 1) / 3)


def test_nothing_with_a_verdict_makes_no_figure() -> None:
    shown = summary({"c": make_row("c", 0, 0, drawn=4)}, wanted=2)
    assert (shown["problems"], shown["left_out"], shown["pass_at_k"]) == (0, 1, {})
    for name in ("coverage", "unique_per_problem", "unique_per_solved", "balance"):
        assert shown[name] is None


@pytest.mark.parametrize(
    ("largest", "told"), [(0, []), (1, [1]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])]
)
def test_pass_at_k_is_told_for_powers_of_two_and_the_group(largest: int, told: list[int]) -> None:
    assert ks(largest) == told


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_pass_at_k_is_the_share_of_all_draws_of_k(k: int) -> None:
    groups = [[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0]]
    rows = rows_of(*((len(group), sum(group)) for group in groups))
    draws = [any(draw) for group in groups for draw in combinations(group, k)]
    assert pass_at(rows, k)["mean"] == pytest.approx(sum(draws) / len(draws))


def test_a_problem_with_fewer_scored_completions_than_k_is_not_in_it() -> None:
    shown = pass_at(rows_of((4, 1), (2, 2), (4, 0)), 4)
    assert (shown["mean"], shown["n"]) == (0.5, 2)


def test_the_interval_is_the_bootstraps_over_problems() -> None:
    values = [0.0] * 40 + [0.5] * 25 + [1.0] * 35
    drawn = np.random.default_rng(1).choice(values, size=(10_000, len(values))).mean(axis=1)
    fast, plain = bootstrap_interval(values, seed=0), np.quantile(drawn, [0.025, 0.975])
    assert fast.low == pytest.approx(plain[0], abs=0.01)
    assert fast.high == pytest.approx(plain[1], abs=0.01)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        rates = rng.beta(1, 2, size=150)  # their mean is 1/3
        rows = rows_of(*((8, int(c)) for c in rng.binomial(8, rates)))
        shown = pass_at(rows, 1)
        held += shown["low"] <= 1 / 3 <= shown["high"]
    assert 0.91 <= held / 300 <= 0.985


def test_the_base_is_compared_on_the_same_problems_at_the_largest_k_of_both() -> None:
    own = rows_of((4, 4), (4, 0), (4, 1), (3, 3)) | {"new": make_row("new", 4, 4)}
    base = rows_of((6, 0), (4, 1), (4, 1), (6, 6))
    shown = against_base(own, base)
    assert shown is not None
    assert (shown["k"], shown["difference"]["n"]) == (4, 3)
    # pass@4 of the base: 0 of 6, then 1 and 1 (all four drawn), on p0 to p2.
    assert shown["own"]["mean"] == pytest.approx(2 / 3)
    assert shown["base"]["mean"] == pytest.approx(2 / 3)
    assert shown["difference"]["mean"] == pytest.approx(0.0)
    assert list(shown["pass_at_k"]) == ["1", "2", "4", "6"]


def test_the_difference_is_paired() -> None:
    """Ahead by the same on each problem, however hard: no problem drawn again changes it."""
    base = rows_of(*((1, 0) for _ in range(40)))
    shown = against_base(rows_of(*((1, 1) for _ in range(40))), base)
    assert shown is not None
    assert (shown["difference"]["low"], shown["difference"]["high"]) == (1.0, 1.0)
    mixed = rows_of(*((1, at % 2) for at in range(40)))
    same = against_base(mixed, mixed)
    assert same is not None
    assert same["own"]["low"] < 0.5 < same["own"]["high"]
    assert (same["difference"]["low"], same["difference"]["high"]) == (0.0, 0.0)


def test_a_base_without_verdicts_is_compared_with_nothing() -> None:
    assert against_base(rows_of((4, 1)), rows_of((0, 0))) is None
