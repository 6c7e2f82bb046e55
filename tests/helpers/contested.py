"""Problems answered by two policies, as gates and guards meet them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evals.attempts import ProblemAttempts, gather
from evals.gates.paired import Pairs
from tests.helpers.graded import make_row

Groups = Sequence[Sequence[bool | None]]


def answered(groups: Groups) -> dict[str, ProblemAttempts]:
    """One side's problems p0, p1, ..., each given by its completions' verdicts."""
    return gather(
        make_row(verdict, f"p{at}", attempt=attempt)
        for at, group in enumerate(groups)
        for attempt, verdict in enumerate(group)
    )


def single(gained: int, lost: int, same: int) -> tuple[list[list[bool | None]], ...]:
    """Incumbent and candidate with one completion of each problem."""
    before = [[False]] * gained + [[True]] * lost + [[True]] * same
    after = [[True]] * gained + [[False]] * lost + [[True]] * same
    return [list(group) for group in before], [list(group) for group in after]


def pairs_of(before: Sequence[float], after: Sequence[float], k: int) -> Pairs:
    """Pairs given by their means over `k` completions."""
    ids = tuple(f"p{at}" for at in range(len(before)))
    return Pairs(ids, np.array(before, dtype=np.float64), np.array(after, dtype=np.float64), k)
