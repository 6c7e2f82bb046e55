import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.metrics import intervals
from evals.metrics.estimators import Bounds, best_of_k, both_ways, maj_at_k, mean, pass_at_k
from evals.metrics.intervals import (
    Interval,
    bootstrap_interval,
    rate_interval,
    t_interval,
    wilson_interval,
)


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_correct_one(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = list(itertools.combinations([1] * c + [0] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_k_of_the_whole_group_is_one_or_nothing() -> None:
    assert pass_at_k(64, 1, 64) == 1.0
    assert pass_at_k(64, 0, 64) == 0.0
    assert pass_at_k(200, 50, 1) == pytest.approx(0.25)


def test_pass_at_k_refuses_a_group_smaller_than_k() -> None:
    with pytest.raises(ValueError, match="k=8 of a group of 4"):
        pass_at_k(4, 2, 8)


def test_what_has_no_verdict_is_taken_as_wrong_and_as_right() -> None:
    assert both_ways([True, None, False, True], mean) == Bounds(0.5, 0.75)
    with pytest.raises(ValueError, match="group of 0"):
        mean([])


def test_maj_at_k_takes_the_most_frequent_answer() -> None:
    silent = [None, None, None]
    assert maj_at_k(["7", "8", "7", *silent], [True, False, True, False, False, False]) == 1
    assert maj_at_k(["8", "8", "7"], [False, False, True]) == 0
    assert maj_at_k([None, None], [False, False]) == 0


def test_right_answers_are_one_answer_however_spelled() -> None:
    """The right one once lost to "8" for being written in two ways."""
    assert maj_at_k(["7", "seven", "8", "8", "7.0"], [True, True, False, False, True]) == 1
    assert maj_at_k([None, "8"], [True, False]) == 0.5
    assert maj_at_k(["7", "7", "8"], [True, False, False]) == 1


def test_maj_at_k_shares_a_tie() -> None:
    assert maj_at_k(["7", "8"], [True, False]) == 0.5
    assert maj_at_k(["7", "8", "9"], [True, False, False]) == pytest.approx(1 / 3)
    assert maj_at_k(["7", "8", "8"], [True, False, False], k=2) == 0.5


GROUPS = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=7)


@given(GROUPS, st.data())
def test_best_of_k_is_the_mean_over_all_subsets(
    group: list[tuple[bool, int]], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(group)))
    correct, rewards = zip(*group, strict=True)
    chosen = [brute_best(subset) for subset in itertools.combinations(group, k)]
    expected = sum(chosen) / len(chosen)
    assert best_of_k(correct, rewards, k) == pytest.approx(expected)


def brute_best(subset: Sequence[tuple[bool, int]]) -> float:
    """Correctness of the completion of largest reward, the mean of those that share it."""
    largest = max(reward for _, reward in subset)
    best = [is_right for is_right, reward in subset if reward == largest]
    return sum(best) / len(best)


def test_best_of_k_by_a_reward_that_knows_is_pass_at_k() -> None:
    correct = [True, False, False, True, False]
    for k in range(1, 6):
        assert best_of_k(correct, [*map(float, correct)], k) == pytest.approx(pass_at_k(5, 2, k))
        assert best_of_k(correct, [1.0] * 5, k) == pytest.approx(0.4)


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=5), st.data())
def test_all_ways_to_settle_lie_between_the_two(
    correct: list[bool | None], data: st.DataObject
) -> None:
    n = len(correct)
    answers = data.draw(st.lists(st.sampled_from(["7", "8", None]), min_size=n, max_size=n))
    rewards = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    ways = [[False, True] if verdict is None else [verdict] for verdict in correct]
    for estimate in (mean, partial(maj_at_k, answers), lambda c: best_of_k(c, rewards)):
        values = [estimate(settled) for settled in itertools.product(*ways)]
        bounds = both_ways(correct, estimate)
        assert (bounds.low, bounds.high) == (min(values), max(values))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998, Table I, method 3 (https://pubmed.ncbi.nlm.nih.gov/9595616/)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_equals_published_values(
    successes: int, n: int, low: float, high: float
) -> None:
    interval = wilson_interval(successes, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 300), st.integers(1, 300))
def test_wilson_interval_holds_the_share_and_stays_in_bounds(successes: int, n: int) -> None:
    if successes > n:
        return
    interval = wilson_interval(successes, n)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1


def test_wilson_interval_of_nothing_says_nothing() -> None:
    assert (wilson_interval(0, 0).low, wilson_interval(0, 0).high) == (0.0, 1.0)


def test_bootstrap_interval_comes_near_the_normal_one() -> None:
    values = [1.0] * 300 + [0.0] * 700
    interval = bootstrap_interval(values, seed=0)
    half = 1.96 * math.sqrt(0.3 * 0.7 / 1000)
    assert interval.low == pytest.approx(0.3 - half, abs=0.003)
    assert interval.high == pytest.approx(0.3 + half, abs=0.003)
    assert interval == bootstrap_interval(values, seed=0)


def test_a_bootstrap_of_few_distinct_values_draws_as_one_of_many_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = [0.0] * 20 + [0.3] * 30 + [1.0] * 50
    few = intervals.resampled_means(np.array(values), seed=0, resamples=50_000)
    monkeypatch.setattr(intervals, "_FEW", 0)
    many = intervals.resampled_means(np.array(values), seed=0, resamples=50_000)
    assert few.mean() == pytest.approx(many.mean(), abs=0.001)
    assert few.std() == pytest.approx(many.std(), rel=0.02)
    assert not np.array_equal(few, many)


def test_one_rate_between_none_and_all_tells_no_spread() -> None:
    assert rate_interval([0.5]) == Interval(0.0, 1.0)
    assert rate_interval([1.0]) == wilson_interval(1, 1)
    assert rate_interval([0.5, 1.0]) == bootstrap_interval([0.5, 1.0], seed=0)
    with pytest.raises(ValueError, match="at least two"):
        t_interval([5.0])


@pytest.mark.parametrize("module", ["evals.metrics.paired_tests", "evals.stage", "flows.cli"])
def test_scipy_is_imported_by_what_needs_it_alone(module: str) -> None:
    code = f"import sys, {module}; print('scipy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_bootstrap_refuses_nothing_and_nan() -> None:
    with pytest.raises(ValueError, match="at least one problem"):
        bootstrap_interval([], seed=0)
    with pytest.raises(ValueError, match="not finite"):
        bootstrap_interval([math.nan], seed=0)
