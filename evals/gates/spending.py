"""How alpha is spent: over a run's decisions, and over a decision's looks.

A run's decisions share `alpha` by online fallback (Tian & Ramdas 2021,
https://arxiv.org/abs/1910.04900): whatever the dependence between the tests, the chance that any
candidate which is no better is promoted stays at `alpha`. The looks of one decision share its level
by Bonferroni, which holds under any dependence too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from evals.config import GateConfig, PairedGate

_LAST = 0.85
"""The last look's share of a decision's level. Small gains are seen there or nowhere, large ones at
any level: with .7 the gate saw +2 points on 500 problems in 44 % of simulated decisions, with .85
in 46 %, for a tenth more completions where the gain is 5 points (benchmarks.simulate_gates)."""


def level_of(
    number: int,
    alpha: float,
    schedule: Literal["planned", "open"],
    planned: int,
    before: tuple[float, bool] | None,
) -> float:
    """The level of a run's decision `number` (from 1).

    level_t = alpha * gamma_t + (level_{t-1} if that one promoted, else 0). gamma_t is 1 / planned
    up to `planned` and 0 from then on, or 6 / (pi * t)^2 where the schedule is open; both sum to 1.
    `before` is the level of decision number - 1 and whether it promoted; None for the first.

    Raises:
        ValueError: if `number` is below 1, or `before` is missing.
    """
    if number < 1 or (number > 1 and before is None):
        raise ValueError(
            f"decision {number} after {before}: the first is 1, and each knows the last"
        )
    if schedule == "open":
        share = 6 / (math.pi * number) ** 2
    else:
        share = 1 / planned if number <= planned else 0.0
    level, promoted = before or (0.0, False)
    return alpha * share + (level if promoted else 0.0)


def first_level(config: GateConfig, planned: int) -> float:
    """The level of the first decision of a run of `planned` iterations."""
    return level_of(1, config.alpha, config.schedule, planned, None)


def spend_of(config: GateConfig, looks: Sequence[int]) -> tuple[float, ...]:
    """Each look's share of a decision's level; they sum to 1.

    Left out in the config: the whole for one look, .15 and .85 for two, .05, .1 and .85 for three,
    for more .85 for the last and the rest shared evenly.
    """
    if isinstance(config, PairedGate) and len(config.spend) == len(looks):
        return config.spend
    match len(looks):
        case 1:
            return (1.0,)
        case 3:
            return (0.05, 0.1, _LAST)
        case count:
            return (*[(1 - _LAST) / (count - 1)] * (count - 1), _LAST)
