import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evals.metrics.paired_tests import (
    difference_interval,
    mcnemar_exact,
    mcnemar_exact_two_sided,
    mcnemar_mid_p,
    non_inferiority,
    paired_t,
)


def brute_tail(gained: int, lost: int) -> float:
    n = gained + lost
    return sum(sum(flips) >= gained for flips in itertools.product([0, 1], repeat=n)) / 2**n


@settings(deadline=None)
@given(st.integers(0, 6), st.integers(0, 6))
def test_mcnemar_is_the_tail_of_fair_coin_flips(gained: int, lost: int) -> None:
    assert mcnemar_exact(gained, lost) == pytest.approx(brute_tail(gained, lost))


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_agrees_with_scipys_binomial_test(gained: int, lost: int) -> None:
    if gained + lost == 0:
        return
    exact = stats.binomtest(gained, gained + lost, alternative="greater")
    both = stats.binomtest(gained, gained + lost)
    assert mcnemar_exact(gained, lost) == pytest.approx(exact.pvalue, rel=1e-9)
    assert mcnemar_exact_two_sided(gained, lost) == pytest.approx(both.pvalue, rel=1e-9)


def test_mcnemar_known_values() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(5, 0) == 1 / 32
    assert mcnemar_exact(31, 28) == pytest.approx(0.3974, abs=1e-4)
    assert mcnemar_exact_two_sided(0, 0) == 1.0
    assert mcnemar_exact_two_sided(5, 0) == mcnemar_exact_two_sided(0, 5) == 1 / 16
    assert mcnemar_exact_two_sided(4, 4) == 1.0
    # R: binom.test(59, 59 + 86)
    assert mcnemar_exact_two_sided(86, 59) == pytest.approx(0.0305, abs=5e-4)


def test_mcnemar_of_thousands_stays_exact() -> None:
    tail = sum(math.comb(4000, k) for k in range(3000, 4001))
    assert mcnemar_exact(3000, 1000) == pytest.approx(tail / 2**4000, rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mid_p_counts_half_of_what_was_seen(gained: int, lost: int) -> None:
    n = gained + lost
    beyond = sum(math.comb(n, k) for k in range(gained + 1, n + 1)) / 2**n
    expected = beyond + math.comb(n, gained) / 2**n / 2 if n else 1.0
    assert mcnemar_mid_p(gained, lost) == pytest.approx(expected)
    assert mcnemar_mid_p(gained, lost) <= mcnemar_exact(gained, lost)


@pytest.mark.parametrize("level", [0.05, 0.01, 0.0005])
@pytest.mark.parametrize("n", [20, 100, 400])
def test_mid_p_holds_its_level_whatever_share_of_problems_is_discordant(
    level: float, n: int
) -> None:
    """Given the number of discordant problems it may exceed it; over their chance it does not."""
    sizes = np.array([mid_p_size(discordant, level) for discordant in range(n + 1)])
    shares = np.linspace(0.01, 0.6, 60)
    size = max(stats.binom.pmf(np.arange(n + 1), n, share) @ sizes for share in shares)
    assert 0.6 * level < size < 1.01 * level


def mid_p_size(discordant: int, level: float) -> float:
    """The chance that as many fair coins show a mid-p below the level."""
    gained = np.arange(discordant + 1)
    shown = [mcnemar_mid_p(int(g), int(discordant - g)) < level for g in gained]
    return float(stats.binom.pmf(gained, discordant, 0.5)[shown].sum())


@pytest.mark.parametrize("test", [mcnemar_exact, mcnemar_exact_two_sided, mcnemar_mid_p])
def test_mcnemar_refuses_negative_counts(test: object) -> None:
    with pytest.raises(ValueError, match="negative"):
        test(-1, 2)  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(5))
def test_paired_t_and_its_interval_agree_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    differences = (rng.binomial(8, 0.5, 300) - rng.binomial(8, 0.45, 300)) / 8
    differences *= np.sign(stats.skew(differences))
    found = paired_t(differences)
    expected = stats.ttest_1samp(differences, 0, alternative="greater")
    assert (found.n, found.df) == (300, 299)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.se == pytest.approx(stats.sem(differences))
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.9)
    interval = difference_interval(differences, 0.9)
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_rare_large_losses_make_t_cautious_and_rare_large_gains_do_not() -> None:
    """Johnson's term, by SciPy's skewness."""
    losses = np.array([-1.0] * 4 + [0.125] * 70 + [0.0] * 126)
    plain = stats.ttest_1samp(losses, 0, alternative="greater")
    t = plain.statistic + stats.skew(losses) * (1 + 2 * plain.statistic**2) / (6 * 200**0.5)
    assert paired_t(losses).p == pytest.approx(stats.t.sf(t, 199), rel=0.01)
    assert paired_t(losses).p > 1.2 * plain.pvalue
    gains = -losses + 0.05
    assert paired_t(gains).p == pytest.approx(
        stats.ttest_1samp(gains, 0, alternative="greater").pvalue
    )


@pytest.mark.parametrize("moved", [1, 2, 5, 9])
def test_few_differences_show_no_more_than_their_signs_do(moved: int) -> None:
    """All of a variance of 0 point one way: by t alone that is certainty."""
    alone, among_others = [0.25] * moved, [0.25] * moved + [0.0] * 1000
    assert paired_t(alone).p == (1.0 if moved == 1 else 0.5**moved)
    assert paired_t(among_others).p >= 0.5**moved
    assert paired_t([-value for value in alone]).p == 1.0


def test_what_nobody_gained_or_lost_shows_nothing() -> None:
    assert paired_t([0.0] * 50).p == 1.0
    with pytest.raises(ValueError, match="at least one problem"):
        paired_t([])


def test_the_interval_of_equal_differences_allows_for_what_was_not_seen() -> None:
    """Of 100 draws none differs with 5 % chance where 2.95 % of all do."""
    few, many = difference_interval([0.0] * 100), difference_interval([0.0] * 10_000)
    assert (few.low, few.high) == pytest.approx((-0.02951, 0.02951), abs=1e-5)
    assert many.high < 0.0004
    assert difference_interval([0.5]).low < 0


def test_non_inferiority_is_the_t_test_of_twice_the_margin() -> None:
    rng = np.random.default_rng(0)
    differences = (rng.binomial(4, 0.5, 400) - rng.binomial(4, 0.5, 400)) / 4
    differences *= np.sign(stats.skew(differences))
    found = non_inferiority(differences, 0.02, 0.05)
    expected = stats.ttest_1samp(differences, -0.04, alternative="greater")
    assert found.p == pytest.approx(expected.pvalue)
    assert found.level == pytest.approx(0.04)
    edge = found.mean - stats.t.ppf(0.96, 399) * (found.se or 0)
    assert found.passes == bool(edge > -0.04)


def test_equal_answers_to_few_problems_prove_no_guard() -> None:
    """Four percent of all problems lost would show in none of 50 with 13 % chance."""
    assert non_inferiority([0.0] * 50, 0.02, 0.05).p == pytest.approx(0.96**50)
    assert not non_inferiority([0.0] * 50, 0.02, 0.05).passes
    assert non_inferiority([0.0] * 100, 0.02, 0.05).passes
    assert not non_inferiority([-0.1] * 100, 0.02, 0.05).passes
    assert not non_inferiority([1.0], 0.02, 0.05).passes


def test_a_margin_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"margin=2 .*two points are margin=0.02"):
        non_inferiority([0.0], 2, 0.05)
