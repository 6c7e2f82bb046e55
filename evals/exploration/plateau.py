"""When another iteration of training on own samples has nothing more to promise. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from evals.exploration.config import ExplorationConfig

ADVICE = "expect nothing more from SFT on own samples; consider grpo or new problems"


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationSigns:
    """What an iteration says of a plateau: what the gate made of its candidate, and how the
    incumbent explored when it was sampled.

    `verdict` is the gate's word, or "untrained". `gain_high` is the upper end of the 95 % interval
    of the candidate's gain on dev; `pass_at_largest_k_difference` the interval of pass@k at the
    largest k, the sampled policy's minus the base's.
    """

    iteration: int
    promoted: bool
    verdict: str
    gain_high: float | None
    smallest_gain: float
    unique_per_solved: float | None
    coverage: float | None
    pass_at_largest_k_difference: tuple[float, float] | None = None

    @classmethod
    def of(
        cls, explored: Mapping[str, Any], decision: Mapping[str, Any] | None, smallest_gain: float
    ) -> Self:
        """From the metrics of the iteration's exploration and gate (None: nothing was trained)."""
        base = explored["base"]
        difference = base["difference"] if base else None
        return cls(
            iteration=explored["iteration"],
            promoted=bool(decision and decision["promoted"]),
            verdict=decision["verdict"] if decision else "untrained",
            gain_high=decision["high"] if decision else None,
            smallest_gain=smallest_gain,
            unique_per_solved=explored["unique_per_solved"],
            coverage=explored["coverage"],
            pass_at_largest_k_difference=(
                (difference["low"], difference["high"]) if difference else None
            ),
        )


@dataclass(frozen=True, slots=True)
class Plateau:
    """Whether a plateau is reached; the sentence says why, or why not."""

    reached: bool
    sentence: str


def plateau(history: Sequence[IterationSigns], config: ExplorationConfig) -> Plateau:
    """Looks at the last `plateau_iterations` iterations of a run, given in order.

    Reached where none of them promoted, none was underpowered (a gate that could not see says
    nothing), each excluded a gain of `smallest_gain`, and the share of problems solved did not rise
    from one to the next by `coverage_rise`.
    """
    last = history[-config.plateau_iterations :]
    if len(last) < config.plateau_iterations:
        return Plateau(
            False, f"no plateau: {len(last)} of {config.plateau_iterations} iterations seen"
        )
    if why := _no_plateau(last, config):
        return Plateau(False, f"no plateau: {why}")
    return Plateau(True, f"plateau: {_numbers(last)}: {ADVICE}")


def _no_plateau(last: Sequence[IterationSigns], config: ExplorationConfig) -> str | None:
    for signs in last:
        if why := _still_gaining(signs):
            return f"iteration {signs.iteration} {why}"
    for before, after in pairwise(last):
        if before.coverage is None or after.coverage is None:
            return (
                f"iterations {before.iteration} and {after.iteration} have no verdicts to compare"
            )
        if after.coverage - before.coverage > config.coverage_rise:
            return (
                f"the share of problems solved rose from {_percent(before.coverage)} to "
                f"{_percent(after.coverage)} in iteration {after.iteration}"
            )
    return None


def _still_gaining(signs: IterationSigns) -> str | None:
    """Why an iteration is no sign of a plateau; None where it is one."""
    if signs.promoted:
        return "was promoted"
    if signs.verdict == "underpowered":
        return "was underpowered, which says nothing"
    if signs.gain_high is None:
        return "measured no gain on dev"
    if signs.gain_high >= signs.smallest_gain:
        return (
            f"does not exclude a gain of {_points(signs.smallest_gain)}: dev could have gained up "
            f"to {_points(signs.gain_high)}"
        )
    return None


def _numbers(last: Sequence[IterationSigns]) -> str:
    highs = ", ".join(_points(signs.gain_high or 0.0) for signs in last)
    first, latest = last[0], last[-1]
    return (
        f"iterations {first.iteration} to {latest.iteration} promoted nothing, and their gains on "
        f"dev are at most {highs} (a gain worth having: {_points(latest.smallest_gain)}); problems "
        f"solved {_percent(first.coverage)} then {_percent(latest.coverage)}, different solutions "
        f"of a solved one {_number(first.unique_per_solved)} then "
        f"{_number(latest.unique_per_solved)}"
    )


def collapse_warning(signs: IterationSigns) -> str | None:
    """A sentence where pass@k at the largest k fell below the base's beyond chance, else None."""
    difference = signs.pass_at_largest_k_difference
    if difference is None or difference[1] >= 0:
        return None
    low, high = difference
    return (
        f"iteration {signs.iteration} explores less than the base: pass@k at the largest k is "
        f"{_points(-high)} to {_points(-low)} lower (95 % interval); the policy sharpens what it "
        "knows and loses what it found rarely"
    )


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
