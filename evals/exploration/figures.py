"""An iteration's figures from its problems' counts. Pure functions; rates are in [0, 1].

A problem none of whose completions has a verdict is in no figure but `left_out`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evals.exploration.monitor import ExplorationRow, balance
from evals.metrics.estimators import pass_at_k, powers_of_two
from evals.metrics.intervals import bootstrap_interval

Rows = Mapping[str, ExplorationRow]
"""Counts by problem_id."""


def summary(rows: Rows, wanted: int) -> dict[str, Any]:
    """Coverage, different solutions and equations, pass@k and the balance score over problems.

    Means are None where there is nothing to average; `distinct_share` is of all equations in
    correct completions, each problem's distinct ones added up.
    """
    known = [row for row in rows.values() if row.scored]
    solved = [row for row in known if row.correct]
    equations = sum(row.equations for row in known)
    distinct = sum(row.distinct for row in known)
    return {
        "problems": len(known),
        "left_out": len(rows) - len(known),
        "drawn": sum(row.drawn for row in known),
        "unscored": sum(row.drawn - row.scored for row in rows.values()),
        "correct": sum(row.correct for row in known),
        "accepted": sum(row.accepted for row in known),
        "solved": len(solved),
        "coverage": _mean([float(row.correct > 0) for row in known]),
        "unique_per_problem": _mean([row.unique for row in known]),
        "unique_per_solved": _mean([row.unique for row in solved]),
        "equations": equations,
        "distinct_equations": distinct,
        "distinct_share": distinct / equations if equations else None,
        "group_size": largest_k(rows),
        "pass_at_k": {str(k): pass_at(rows, k) for k in ks(largest_k(rows))},
        "wanted_per_problem": wanted,
        "balance": _mean([balance(row, wanted) for row in known]),
    }


def ks(largest: int) -> list[int]:
    """1, 2, 4, … and the largest: the k that pass@k is told for."""
    return sorted({*powers_of_two(largest), largest}) if largest else []


def largest_k(rows: Rows) -> int:
    """Most scored completions of a problem; 0 where nothing is scored."""
    return max((row.scored for row in rows.values()), default=0)


def pass_at(rows: Rows, k: int) -> dict[str, Any]:
    """pass@k over the problems with at least `k` scored completions."""
    return _estimate([_pass_at_k(row, k) for row in rows.values() if row.scored >= k])


def against_base(rows: Rows, base: Rows) -> dict[str, Any] | None:
    """pass@k at the largest k that both have, and the difference (ours minus the base's).

    Paired over the problems that have `k` scored completions on both sides; None where there are
    none.
    """
    k = min(largest_k(rows), largest_k(base))
    both = [
        (_pass_at_k(row, k), _pass_at_k(base[name], k))
        for name, row in rows.items()
        if k and row.scored >= k and name in base and base[name].scored >= k
    ]
    if not both:
        return None
    return {
        "k": k,
        "own": _estimate([own for own, _ in both]),
        "base": _estimate([other for _, other in both]),
        "difference": _estimate([own - other for own, other in both]),
        "pass_at_k": {str(each): pass_at(base, each) for each in ks(largest_k(base))},
    }


def _pass_at_k(row: ExplorationRow, k: int) -> float:
    return pass_at_k(row.scored, row.correct, k)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    """A mean over problems with its 95 % interval, by bootstrap over problems."""
    if not values:
        return {"mean": None, "low": None, "high": None, "n": 0}
    interval = bootstrap_interval(values, seed=0)
    mean = sum(values) / len(values)
    return {"mean": mean, "low": interval.low, "high": interval.high, "n": len(values)}
