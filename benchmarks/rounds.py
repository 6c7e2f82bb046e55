"""A figure is the best of several rounds, and says how far the worst lay below it.

What else runs on a machine only ever makes a round slower. Measurements that are compared take
turns, so that all of them meet the machine in the same moods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """The highest of some rates, and the share by which the lowest is below it."""

    best: float
    spread: float


def rounds(measurements: Mapping[str, Callable[[], float]], count: int) -> dict[str, Measured]:
    """Each measurement's rates in `count` rounds of all of them."""
    rates: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(count):
        for name, measure in measurements.items():
            rates[name].append(measure())
    return {
        name: Measured(max(found), 1 - min(found) / max(found)) for name, found in rates.items()
    }
