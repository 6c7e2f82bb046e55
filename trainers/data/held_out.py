"""Rows that are held out of a training, to see on them when it should stop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ratchet.errors import InputError
from ratchet.records import DpoRow, SftRow
from ratchet.store.identity import derive_seed
from trainers.config.rows import EarlyStopping

SplitRowT = TypeVar("SplitRowT", SftRow, DpoRow)


@dataclass(frozen=True, slots=True)
class Split(Generic[SplitRowT]):
    """Training rows, and those held out; no problem has rows in both."""

    trained: Sequence[SplitRowT]
    held_out: Sequence[SplitRowT]


def split_rows(
    rows: Sequence[SplitRowT], stopping: EarlyStopping | None, seed: int
) -> Split[SplitRowT]:
    """Hold out all rows of a share of the problems, drawn by `seed`; at least one problem.

    Raises:
        InputError: if there are rows of one problem only.
    """
    if stopping is None:
        return Split(rows, ())
    problems = sorted({row.problem_id for row in rows})
    if len(problems) < 2:
        raise InputError(
            f"the training rows are of {len(problems)} problem, so none can be held out; sample "
            "more problems, or leave trainer.early_stopping out"
        )
    count = max(1, round(stopping.held_out * len(problems)))
    drawn = set(random.Random(derive_seed(seed, "held_out")).sample(problems, count))
    return Split(
        [row for row in rows if row.problem_id not in drawn],
        [row for row in rows if row.problem_id in drawn],
    )


def looks_without_gain(losses: Sequence[float], min_improvement: float) -> int:
    """How many of the last losses were not lower than the lowest before them."""
    lowest, without = float("inf"), 0
    for loss in losses:
        gained = loss < lowest - min_improvement
        without = 0 if gained else without + 1
        lowest = min(lowest, loss)
    return without
