import math

import numpy as np
import pytest
from scipy import stats

from evals.metrics.power import (
    VarianceSplit,
    chance_unchanged_passes,
    completions_needed,
    prior_split,
    prior_variance,
    problems_for_guard,
    problems_needed,
    smallest_gain_seen,
    split_of,
)

LEVEL = 0.0085


@pytest.mark.parametrize("n", [50, 500, 1319])
def test_the_smallest_gain_is_seen_in_four_of_five_tests(n: int) -> None:
    """Held to the non-central t: the power of Student's test itself."""
    gain = smallest_gain_seen(n, 0.04, LEVEL)
    distance = gain / math.sqrt(0.04 / n)
    power = stats.nct.sf(stats.t.isf(LEVEL, n - 1), n - 1, distance)
    assert power == pytest.approx(0.8, abs=0.005)


def test_no_gain_is_seen_without_level_or_problems() -> None:
    assert smallest_gain_seen(500, 0.04, 0.0) == math.inf
    assert smallest_gain_seen(1, 0.04, LEVEL) == math.inf
    assert smallest_gain_seen(6, 0.0, LEVEL) == math.inf  # 0.5 ** 6 > LEVEL
    assert problems_needed(0.02, 0.04, 0.0) is None


def test_what_is_needed_is_enough_and_no_more() -> None:
    n = problems_needed(0.02, prior_variance(8), LEVEL)
    assert n is not None
    assert smallest_gain_seen(n, prior_variance(8), LEVEL) <= 0.02
    assert smallest_gain_seen(n - 1, prior_variance(8), LEVEL) > 0.02
    k = completions_needed(0.03, 500, prior_split(), LEVEL)
    assert k is not None
    assert smallest_gain_seen(500, prior_variance(k), LEVEL) <= 0.03
    assert smallest_gain_seen(500, prior_variance(k - 1), LEVEL) > 0.03


def test_sampling_more_cannot_shrink_true_differences() -> None:
    assert completions_needed(0.02, 50, VarianceSplit(0.05, 0.2), LEVEL) is None
    assert completions_needed(0.02, 5000, VarianceSplit(0.05, 0.2), LEVEL) is not None


@pytest.mark.parametrize("k", [2, 8])
def test_the_measured_split_is_the_true_one(k: int) -> None:
    rng = np.random.default_rng(k)
    n = 200_000
    before = rng.beta(0.6, 0.5, n)
    after = np.clip(before + rng.normal(0, 0.1, n), 0, 1)
    split = split_of(rng.binomial(k, before) / k, rng.binomial(k, after) / k, k)
    assert split is not None
    within = (before * (1 - before)).mean() + (after * (1 - after)).mean()
    assert split.within == pytest.approx(within, rel=0.02)
    assert split.between == pytest.approx((after - before).var(), abs=0.002)


def test_one_completion_tells_no_split() -> None:
    assert split_of(np.ones(5), np.zeros(5), 1) is None


@pytest.mark.parametrize("k", [1, 4])
def test_the_variance_to_expect_is_that_of_its_model(k: int) -> None:
    rng = np.random.default_rng(0)
    before = rng.beta(0.6, 0.5, 400_000)
    odds = before / (1 - before) * np.exp(0.5 * rng.standard_normal(before.size))
    after = np.clip(np.nan_to_num(odds / (1 + odds), nan=1.0), 0, 1)
    drawn = (rng.binomial(k, after) - rng.binomial(k, before)) / k
    assert prior_variance(k) == pytest.approx(drawn.var(), rel=0.01)


def test_a_guard_that_an_unchanged_candidate_would_not_pass_is_known() -> None:
    variance = prior_variance(4)
    n = problems_for_guard(0.02, variance, 0.05)
    assert n is not None
    assert chance_unchanged_passes(0.02, n, variance, 0.05) >= 0.9
    assert chance_unchanged_passes(0.02, n - 1, variance, 0.05) < 0.9
    assert chance_unchanged_passes(0.02, 1, variance, 0.05) == 0.0


def test_equal_answers_do_not_make_a_small_guard_strong() -> None:
    assert chance_unchanged_passes(0.02, 50, 0.0, 0.05) == 0.0
    assert chance_unchanged_passes(0.02, 100, 0.0, 0.05) == 1.0
    assert problems_for_guard(0.02, 0.0, 0.05) == 79  # 0.96 ** 79 < 0.04
