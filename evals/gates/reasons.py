"""A decision's reason: one plain line that people read in a table."""

from __future__ import annotations

from collections.abc import Iterable

from evals.gates.paired import Pairs
from evals.gates.regressions import Regression
from evals.metrics.intervals import Interval

SPENT = (
    "the run's alpha is spent, so nothing can be promoted: in a new run plan more `iterations`, or "
    'set gate.schedule = "open"'
)
_SHOWN = 3


def points(difference: float, interval: Interval) -> str:
    """`+9.5 points [7.1, 11.9]`."""
    return f"{100 * difference:+.1f} points [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def numbers(pairs: Pairs, interval: Interval, look: int, looks: int) -> str:
    """What was compared, and the outcome: `mean@2 over 1200, +9.5 points [...], look 1 of 3`."""
    told = f"mean@{pairs.completions} over {pairs.n}"
    if pairs.completions == 1:
        told = f"McNemar, {pairs.gained} gained, {pairs.lost} lost of {pairs.n}"
    told += f", {points(pairs.difference, interval)}"
    return told if looks == 1 else f"{told}, look {look} of {looks}"


def against(p: float, level: float) -> str:
    """`p=0.0003 < 0.0117`, with as many digits as show which is the smaller one."""
    sign, right = "<" if p < level else ">=", f"{level:.3g}"
    for digits in range(2, 17):
        left = f"{p:.{digits}g}"
        if (float(left) < float(right)) == (p < level):
            return f"p={left} {sign} {right}"
    return f"p={p!r} {sign} {level!r}"


def worse(pinned: Iterable[Regression]) -> str:
    """`pinned problems got worse: p17 (1 -> 0.25)`."""
    all_of_them = list(pinned)
    told = ", ".join(
        f"{each.problem_id} ({each.incumbent:.2g} -> {each.candidate:.2g})"
        for each in all_of_them[:_SHOWN]
    )
    more = len(all_of_them) - _SHOWN
    return f"pinned problems got worse: {told}" + (f" and {more} more" if more > 0 else "")
