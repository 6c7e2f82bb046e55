"""What simulated runs make of a gate: promotions by chance, power, steps found; and of a guard.

The decisions are those of `evals.gates`; `benchmarks.simulated_answers` makes the answers. Seeds
are fixed; a share has a Monte Carlo error of sqrt(p * (1 - p) / runs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.simulated_answers import BETA, Beta, SimulatedSide, candidate_of, dev_set, shifts
from evals.config import (
    EvalConfig,
    GateConfig,
    GuardConfig,
    McNemarGate,
    MinGainGate,
    PairedGate,
    looks_of,
)
from evals.gates.guards import Watched, judge
from evals.gates.looks import decide, look_at
from evals.gates.paired import Pairs
from evals.gates.spending import level_of
from evals.metrics.paired_tests import mcnemar_exact

ALPHA = 0.05
ITERATIONS = 5


@dataclass(frozen=True)
class SimulatedOutcome:
    """A decision: whether it promoted, and the completions of each problem that a side drew."""

    promoted: bool
    completions: int


Rule = Callable[[SimulatedSide, SimulatedSide, float], SimulatedOutcome]
"""Incumbent, candidate and the decision's level -> what came of it."""


def by_gate(config: GateConfig) -> Rule:
    """Ratchet's own decision, look by look."""
    looks = looks_of(config, EvalConfig())

    def rule(incumbent: SimulatedSide, candidate: SimulatedSide, level: float) -> SimulatedOutcome:
        seen: list[Pairs] = []
        for at, k in enumerate(looks):
            seen.append(Pairs((), incumbent.means(k), candidate.means(k), k))
            outcome = look_at(config, seen[-1], at, looks, level).outcome
            if outcome != "go_on":
                break
        promoted = outcome == "promote" and decide(config, seen, looks, level).promoted
        return SimulatedOutcome(promoted, looks[len(seen) - 1])

    return rule


def old_gate(incumbent: SimulatedSide, candidate: SimulatedSide, level: float) -> SimulatedOutcome:
    """The gate until November 2026: exact McNemar on one answer at 5 %, in each iteration."""
    before, after = incumbent.means(1), candidate.means(1)
    p = mcnemar_exact(int((after > before).sum()), int((after < before).sum()))
    return SimulatedOutcome(p < ALPHA, 1)


RULES: dict[str, Rule] = {
    "higher wins (mean@4)": by_gate(MinGainGate(min_gain=1e-9)),
    "`min_gain` of 1 point (mean@4)": by_gate(MinGainGate()),
    "exact McNemar, 5 % each iteration": old_gate,
    "`mcnemar`": by_gate(McNemarGate()),
    "`paired`": by_gate(PairedGate()),
}


def false_promotions(rule: Rule, n: int, runs: int, seed: int = 0) -> float:
    """The share of runs in which any of five candidates that are no better is promoted.

    All are put to the same dev set and the same answers of the incumbent, as in a run.
    """
    (shift,) = shifts((0.0,))
    rng = np.random.default_rng((seed, n))
    return sum(_any_promotion(rule, n, shift, rng) for _ in range(runs)) / runs


def _any_promotion(rule: Rule, n: int, shift: float, rng: np.random.Generator) -> bool:
    incumbent = SimulatedSide(dev_set(n, rng), rng)
    before = None
    for number in range(1, ITERATIONS + 1):
        level = level_of(number, ALPHA, "planned", ITERATIONS, before)
        candidate = SimulatedSide(candidate_of(incumbent.p, shift, rng), rng)
        if rule(incumbent, candidate, level).promoted:
            return True
        before = (level, False)
    return False


def power(rule: Rule, n: int, gain: float, runs: int, seed: int = 1) -> tuple[float, float]:
    """One decision at alpha / 5 on a candidate better by `gain`: (share promoted, completions)."""
    (shift,) = shifts((gain,))
    rng = np.random.default_rng((seed, n, round(1000 * gain)))
    outcomes = []
    for _ in range(runs):
        incumbent = SimulatedSide(dev_set(n, rng), rng)
        candidate = SimulatedSide(candidate_of(incumbent.p, shift, rng), rng)
        outcomes.append(rule(incumbent, candidate, ALPHA / ITERATIONS))
    promoted = sum(outcome.promoted for outcome in outcomes) / runs
    return promoted, sum(outcome.completions for outcome in outcomes) / runs


def promotions_found(rule: Rule, n: int, gain: float, runs: int, seed: int = 2) -> float:
    """Mean number of promotions in five iterations, each candidate better by `gain`.

    A promoted candidate is the next incumbent, scored by fresh completions.
    """
    steps = shifts((gain,) * ITERATIONS)
    rng = np.random.default_rng((seed, n))
    found = 0
    for _ in range(runs):
        incumbent, step, before = SimulatedSide(dev_set(n, rng), rng), 0, None
        for number in range(1, ITERATIONS + 1):
            level = level_of(number, ALPHA, "planned", ITERATIONS, before)
            candidate = SimulatedSide(candidate_of(incumbent.p, steps[step], rng), rng)
            promoted = rule(incumbent, candidate, level).promoted
            if promoted:
                incumbent, step = SimulatedSide(candidate.p, rng), step + 1
            before = (level, promoted)
        found += step
    return found / runs


def guard_passes(n: int, margin: float, k: int, loss: float, runs: int, beta: Beta = BETA) -> float:
    """How often a guard on accuracy passes a candidate that truly loses `loss`; 0 is unchanged."""
    config = GuardConfig(margin=margin)
    rng = np.random.default_rng((3, n, round(1000 * margin), round(1000 * loss)))
    passed = 0
    for _ in range(runs):
        p = dev_set(n, rng, beta)
        after = candidate_of(p, shifts((-loss,), beta)[0], rng) if loss else p
        watched = Watched(SimulatedSide(p, rng).means(k), SimulatedSide(after, rng).means(k))
        passed += judge("simulated", config, watched).passed
    return passed / runs
