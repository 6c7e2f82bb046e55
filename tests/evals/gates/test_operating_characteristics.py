"""How often the gate is fooled and what it sees: docs/gates.md's figures, held to their targets.

By the real decisions on simulated answers (benchmarks.gate_contests); seeds are fixed.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gate_contests import (
    ALPHA,
    RULES,
    Outcome,
    by_gate,
    false_promotions,
    guard_passes,
    old_gate,
    power,
    promotions_found,
)
from benchmarks.simulate_gates import aa_by_resampling
from benchmarks.simulated_answers import EASY, SimulatedSide, candidate_of, dev_set, shifts
from evals.config import PairedGate
from evals.metrics.power import chance_unchanged_passes, prior_variance

PAIRED = RULES["`paired`"]
RUNS = 2000


@pytest.mark.parametrize("n", [200, 500, 1319])
def test_a_run_of_five_no_better_candidates_promotes_one_in_twenty_at_most(n: int) -> None:
    assert 0.02 < false_promotions(PAIRED, n, RUNS) <= ALPHA


@pytest.mark.parametrize("n", [200, 500])
def test_mcnemar_on_the_ledger_does_too(n: int) -> None:
    assert false_promotions(RULES["`mcnemar`"], n, RUNS) <= ALPHA


def test_what_was_there_before_promotes_chance_more_often() -> None:
    assert false_promotions(RULES["higher wins (mean@4)"], 200, 300) > 0.75
    assert false_promotions(old_gate, 500, 1000) > 0.1


def test_two_points_on_500_problems_are_seen_in_45_of_100_decisions() -> None:
    """The true share is .463 by 20,000 decisions; 6,000 have a Monte Carlo error of .006."""
    seen, _ = power(PAIRED, 500, 0.02, 6000)
    assert seen >= 0.45


def test_five_points_are_seen_for_less_than_half_the_completions() -> None:
    seen, completions = power(PAIRED, 500, 0.05, RUNS)
    fixed, _ = power(by_gate(PairedGate(looks=(8,))), 500, 0.05, 500)
    assert seen >= 0.98
    assert fixed >= 0.98
    assert completions <= 8 / 2


def test_five_true_steps_of_three_points_are_mostly_found() -> None:
    found = promotions_found(PAIRED, 500, 0.03, 200)
    assert found >= 4
    assert found > 2 * promotions_found(old_gate, 500, 0.03, 200)


@pytest.mark.parametrize("n", [200, 500, 1319])
@pytest.mark.parametrize("margin", [0.01, 0.02, 0.03])
def test_a_guard_lets_through_twice_its_margin_one_time_in_twenty_at_most(
    n: int, margin: float
) -> None:
    assert guard_passes(n, margin, 4, 2 * margin, 3000) <= ALPHA


def test_where_losses_are_rare_and_large_it_does_too() -> None:
    """On a benchmark that is nearly solved, Student's t alone lets .059 pass."""
    assert guard_passes(200, 0.02, 4, 0.04, 6000, EASY) <= ALPHA


def test_a_greedy_guard_does_too() -> None:
    assert guard_passes(200, 0.02, 1, 0.04, 3000) <= ALPHA


@pytest.mark.parametrize("n", [200, 500, 1319])
@pytest.mark.parametrize("margin", [0.01, 0.02, 0.03])
def test_an_unchanged_candidate_passes_unless_plan_calls_the_guard_underpowered(
    n: int, margin: float
) -> None:
    expected = chance_unchanged_passes(margin, n, prior_variance(4), ALPHA)
    passed = guard_passes(n, margin, 4, 0.0, 1000)
    assert passed >= 0.9 or expected < 0.9
    assert passed == pytest.approx(expected, abs=0.1)


def test_a_checkpoint_against_itself_is_promoted_at_the_level() -> None:
    rng = np.random.default_rng(0)
    correct = [rng.random(8) < p for p in rng.beta(0.6, 0.5, 300)]
    groups = [[float(value) for value in group] for group in correct]
    assert 0.02 < aa_by_resampling(groups, 1000, level=0.05) < 0.07
    assert aa_by_resampling(groups, 200) <= 0.03


def test_simulated_candidates_gain_what_they_should() -> None:
    rng = np.random.default_rng(0)
    p = dev_set(400_000, rng)
    for gain, shift in zip((0.03, 0.03), shifts((0.03, 0.03)), strict=True):
        after = candidate_of(p, shift, rng)
        assert (after - p).mean() == pytest.approx(gain, abs=0.001)
        p = after


def test_a_later_look_keeps_the_completions_of_the_earlier_one() -> None:
    side = SimulatedSide(np.full(1000, 0.5), np.random.default_rng(0))
    two, eight = side.means(2), side.means(8)
    assert np.all((8 * eight >= 2 * two) & (8 * eight <= 2 * two + 6))
    assert side.means(2) is two


def test_completions_are_counted_up_to_the_look_that_settled_it() -> None:
    rng = np.random.default_rng(0)
    p = np.full(300, 0.5)
    better = SimulatedSide(np.full(300, 0.9), rng)
    assert PAIRED(SimulatedSide(p, rng), better, 0.01) == Outcome(True, 2)
