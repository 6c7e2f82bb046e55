"""How often gates are fooled and what they see, by simulation: the tables of docs/gates.md.

    python -m benchmarks.simulate_gates                   the tables, in Markdown (minutes)
    python -m benchmarks.simulate_gates --aa FOLDER...    one checkpoint against itself, by its evals

The decisions are those of `evals.gates`; `benchmarks.simulated_answers` makes the answers. Seeds are
fixed. Level and power have Monte Carlo errors of sqrt(p * (1 - p) / runs).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.simulated_answers import Floats, SimulatedSide, candidate_of, dev_set, shifts
from evals.config import EvalConfig, GateConfig, GuardConfig, McNemarGate, MinGainGate, PairedGate
from evals.config import looks_of
from evals.gates.guards import Watched, judge
from evals.gates.looks import decide, look_at
from evals.gates.paired import Pairs
from evals.gates.spending import level_of
from evals.metrics.paired_tests import mcnemar_exact
from evals.metrics.power import chance_unchanged_passes, prior_variance

ALPHA = 0.05
ITERATIONS = 5
SIZES = (200, 500, 1319)
GAINS = (0.02, 0.05, 0.10)
MARGINS = (0.01, 0.02, 0.03)


@dataclass(frozen=True)
class Outcome:
    """A decision: whether it promoted, and the completions of each problem that a side drew."""

    promoted: bool
    completions: int


Rule = Callable[[SimulatedSide, SimulatedSide, float], Outcome]
"""Incumbent, candidate and the decision's level -> what came of it."""


def by_gate(config: GateConfig) -> Rule:
    """Ratchet's own decision, look by look."""
    looks = looks_of(config, EvalConfig())

    def rule(incumbent: SimulatedSide, candidate: SimulatedSide, level: float) -> Outcome:
        seen: list[Pairs] = []
        for at, k in enumerate(looks):
            seen.append(Pairs((), incumbent.means(k), candidate.means(k), k))
            outcome = look_at(config, seen[-1], at, looks, level).outcome
            if outcome != "go_on":
                break
        promoted = outcome == "promote" and decide(config, seen, looks, level).promoted
        return Outcome(promoted, looks[len(seen) - 1])

    return rule


def old_gate(incumbent: SimulatedSide, candidate: SimulatedSide, level: float) -> Outcome:
    """The gate until November 2026: exact McNemar on one answer at 5 %, in each iteration."""
    before, after = incumbent.means(1), candidate.means(1)
    p = mcnemar_exact(int((after > before).sum()), int((after < before).sum()))
    return Outcome(p < ALPHA, 1)


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


def guard_passes(n: int, margin: float, k: int, loss: float, runs: int, seed: int = 3) -> float:
    """How often a guard on accuracy passes a candidate that truly loses `loss`; 0 is unchanged."""
    config = GuardConfig(margin=margin)
    rng = np.random.default_rng((seed, n, round(1000 * margin), round(1000 * loss)))
    passed = 0
    for _ in range(runs):
        p = dev_set(n, rng)
        after = candidate_of(p, shifts((-loss,))[0], rng) if loss else p
        sides = (SimulatedSide(side, rng).means(k) for side in (p, after))
        passed += judge("simulated", config, Watched(*sides)).passed
    return passed / runs


def aa_by_resampling(
    correct: Sequence[Sequence[float]],
    times: int = 200,
    seed: int = 0,
    config: GateConfig | None = None,
    level: float = ALPHA / ITERATIONS,
) -> float:
    """The share of promotions of a checkpoint against itself; `level` is what it should not exceed.

    `correct` holds each problem's completions of one checkpoint, 1 for right and 0 for wrong. Each
    time both sides draw theirs from them, with replacement within problems.
    """
    rule, rng = by_gate(config or PairedGate()), np.random.default_rng(seed)
    p = np.array([np.mean(group) for group in correct], dtype=np.float64)
    contests = (rule(SimulatedSide(p, rng), SimulatedSide(p, rng), level) for _ in range(times))
    return sum(outcome.promoted for outcome in contests) / times


def correct_of(folders: Iterable[Path]) -> list[list[float]]:
    """Each problem's completions in eval artifacts of one checkpoint; without a verdict is wrong."""
    groups: dict[str, list[float]] = {}
    for part in sorted(part for folder in folders for part in folder.glob("part-*.parquet")):
        table = pq.read_table(part, columns=["problem_id", "correct"]).to_pydict()
        for problem_id, correct in zip(table["problem_id"], table["correct"], strict=True):
            groups.setdefault(problem_id, []).append(float(bool(correct)))
    return list(groups.values())


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print(f"\n{title}\n")
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


def _gates(runs: int) -> None:
    sizes = [f"{n:,}" for n in SIZES]
    _table(
        "Any promotion in 5 iterations of candidates that are no better",
        ["gate", *sizes],
        [
            [name, *(f"{false_promotions(rule, n, runs):.3f}" for n in SIZES)]
            for name, rule in RULES.items()
        ],
    )
    kinds = {
        "exact McNemar, 5 %": old_gate,
        "`mcnemar`": RULES["`mcnemar`"],
        "`paired`, 8 at once": by_gate(PairedGate(looks=(8,))),
        "`paired`, looks at 2, 4, 8": RULES["`paired`"],
    }
    _table(
        "One decision at alpha / 5: power, and completions of each problem on each side",
        ["gate", "true gain", *sizes],
        [
            [name, f"{100 * gain:+g} points"]
            + ["{:.2f} ({:.1f})".format(*power(rule, n, gain, runs)) for n in SIZES]
            for name, rule in kinds.items()
            for gain in (0.0, *GAINS)
        ],
    )
    _table(
        "Five true steps of +3 points: promotions found of 5",
        ["gate", *sizes],
        [
            [name, *(f"{promotions_found(rule, n, 0.03, runs // 4):.2f}" for n in SIZES)]
            for name, rule in kinds.items()
        ],
    )


def _guards(runs: int, k: int = 4) -> None:
    _table(
        f"Guards on accuracy, {k} completions of each problem",
        ["margin", "problems", "a loss of twice the margin passes", "unchanged passes", "`plan`"],
        [
            [
                f"{100 * margin:g} points",
                f"{n:,}",
                f"{guard_passes(n, margin, k, 2 * margin, runs):.3f}",
                f"{guard_passes(n, margin, k, 0.0, runs):.3f}",
                f"{chance_unchanged_passes(margin, n, prior_variance(k), ALPHA):.2f}",
            ]
            for margin in MARGINS
            for n in SIZES
        ],
    )


def main() -> None:
    """Print the tables, or a checkpoint's A/A."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--aa", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--runs", type=int, default=2000)
    given = parser.parse_args()
    if given.aa:
        groups = correct_of(given.aa)
        level = ALPHA / ITERATIONS
        share = aa_by_resampling(groups, given.times, level=level)
        completions = sum(len(group) for group in groups)
        print(
            f"{len(groups)} problems, {completions} completions; {given.times} times against "
            f"itself at level {level:g}: promoted {share:.3f} of the times"
        )
        return
    _gates(given.runs)
    _guards(given.runs)


if __name__ == "__main__":
    main()
