"""How often gates are fooled and what they see, by simulation: the tables of docs/gates.md.

python -m benchmarks.simulate_gates                  the tables, in Markdown (minutes)
python -m benchmarks.simulate_gates --aa FOLDER...   a checkpoint against itself, by its evals
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.gate_contests import (
    ALPHA,
    ITERATIONS,
    RULES,
    by_gate,
    false_promotions,
    guard_passes,
    old_gate,
    power,
    promotions_found,
)
from benchmarks.simulated_answers import BETA, EASY, Beta, SimulatedSide
from evals.config import GateConfig, PairedGate
from evals.metrics.power import chance_unchanged_passes, prior_variance

SIZES = (200, 500, 1319)
GAINS = (0.02, 0.05, 0.10)
MARGINS = (0.01, 0.02, 0.03)


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
    """Each problem's completions in eval artifacts of a checkpoint; without a verdict is wrong."""
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


def _guards(runs: int, beta: Beta, title: str, k: int = 4) -> None:
    _table(
        f"Guards on accuracy, {title}, {k} completions of each problem",
        ["margin", "problems", "a loss of twice the margin passes", "unchanged passes", "`plan`"],
        [
            [
                f"{100 * margin:g} points",
                f"{n:,}",
                f"{guard_passes(n, margin, k, 2 * margin, runs, beta):.3f}",
                f"{guard_passes(n, margin, k, 0.0, runs, beta):.3f}",
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
    _guards(5 * given.runs, BETA, "a benchmark of which half is solved")
    _guards(5 * given.runs, EASY, "a benchmark of which 95 % is solved")


if __name__ == "__main__":
    main()
