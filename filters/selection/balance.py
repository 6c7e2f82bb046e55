"""How many rows each problem may have: the selection's balance between easy and hard problems.

- `none`: each problem up to the cap. Where `max_rows` is below that, rows are drawn from all, so
  that problems which are solved often have the most.
- `uniform`: the same number for each solved problem, as far as it has them: DART-Math's Uniform.
- `prop2diff`: a number in proportion to the problem's fail rate, k_i = ceil(k * fail_i / max fail),
  the largest fail rate among the solved problems: DART-Math's Prop2Diff (Tong et al. 2024,
  https://arxiv.org/abs/2407.13690). A problem that never fails has none.

Under `max_rows`, `uniform` and `prop2diff` lower k until the rows fit; `uniform` then gives one row
more to problems drawn at random, while any are left.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from filters.selection.config import SftSelection


@dataclass(frozen=True, slots=True)
class Supply:
    """What one problem has: distinct accepted completions, and its fail rate among all."""

    rows: int
    fail_rate: float


def plan_targets(supplies: Mapping[str, Supply], config: SftSelection, seed: int) -> dict[str, int]:
    """problem_id -> rows to select; never more than the problem has or the cap allows.

    A function of its arguments alone: the order of `supplies` counts, clocks and globals do not.
    """
    cap = config.max_per_problem
    match config.balance:
        case "none":
            return _drawn(_at_most(supplies, lambda _: cap), config.max_rows, seed)
        case "uniform":
            k = _largest(cap, lambda k: _at_most(supplies, lambda _: k), config.max_rows)
            return _topped_up(supplies, _at_most(supplies, lambda _: k), k, config, seed)
        case "prop2diff":
            share = _difficulty(supplies)
            k = _largest(cap, lambda k: _at_most(supplies, _scaled(share, k)), config.max_rows)
            return _at_most(supplies, _scaled(share, k))


def _at_most(supplies: Mapping[str, Supply], target: Callable[[str], int]) -> dict[str, int]:
    return {name: min(target(name), supply.rows) for name, supply in supplies.items()}


def _scaled(share: Mapping[str, float], k: int) -> Callable[[str], int]:
    # Rounded first, so that 0.1 + 0.2 of something does not become a row more.
    return lambda name: math.ceil(round(k * share[name], 9))


def _difficulty(supplies: Mapping[str, Supply]) -> dict[str, float]:
    """problem_id -> its fail rate over the largest among the solved problems."""
    worst = max((s.fail_rate for s in supplies.values() if s.rows), default=0.0)
    return {name: s.fail_rate / worst if worst else 0.0 for name, s in supplies.items()}


def _largest(cap: int, plan: Callable[[int], dict[str, int]], max_rows: int | None) -> int:
    """The largest k up to `cap` whose plan fits `max_rows`; 0 if none does."""
    if max_rows is None:
        return cap
    return max((k for k in range(cap + 1) if sum(plan(k).values()) <= max_rows), default=0)


def _drawn(targets: dict[str, int], max_rows: int | None, seed: int) -> dict[str, int]:
    """`max_rows` of all the rows, drawn without replacement."""
    if max_rows is None or sum(targets.values()) <= max_rows:
        return targets
    slots = [name for name, count in targets.items() for _ in range(count)]
    kept = Counter(random.Random(seed).sample(slots, max_rows))
    return {name: kept[name] for name in targets}


def _topped_up(
    supplies: Mapping[str, Supply],
    targets: dict[str, int],
    k: int,
    config: SftSelection,
    seed: int,
) -> dict[str, int]:
    if config.max_rows is None or k == config.max_per_problem:
        return targets
    more = [name for name, supply in supplies.items() if supply.rows > targets[name]]
    left = config.max_rows - sum(targets.values())
    for name in random.Random(seed).sample(more, min(left, len(more))):
        targets[name] += 1
    return targets
