"""What a config's gate and guards can see, told before a token is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evals.config import looks_of
from evals.gates.spending import first_level, spend_of
from evals.metrics.power import chance_unchanged_passes, prior_variance, smallest_gain_seen
from flows.config import Guard, RunConfig

POWER = 0.8
_SURE = 0.9
"""The chance of an unchanged candidate below which a guard is called underpowered."""


def power_of(config: RunConfig, sizes: Mapping[str, int | None]) -> dict[str, Any]:
    """The smallest gain that the gate's first decision sees, and whether guards let pass.

    By what is usual of pass rates (`evals.metrics.power.prior_variance`): nothing was measured yet.
    """
    return {
        "gate": _gate(config, sizes["dev"]),
        "guards": {guard.name: _guard(config, guard, sizes) for guard in config.guards},
    }


def _gate(config: RunConfig, problems: int | None) -> dict[str, Any]:
    gate, looks = config.gate, looks_of(config.gate, config.eval)
    level = first_level(gate, config.iterations)
    told: dict[str, Any] = {
        "kind": gate.kind,
        "looks": list(looks),
        "level": level,
        "problems": problems,
    }
    if gate.kind in ("min_gain", "manual") or not problems:
        return {**told, "smallest_gain": None}
    share = spend_of(gate, looks)[-1]
    seen = smallest_gain_seen(problems, prior_variance(looks[-1]), level * share, POWER)
    return {**told, "smallest_gain": seen if seen < 1 else None}


def _guard(config: RunConfig, guard: Guard, sizes: Mapping[str, int | None]) -> dict[str, Any]:
    problems = sizes["dev" if guard.problems is None else guard.name]
    told = {"metric": guard.metric, "margin": guard.margin, "unchanged_passes": None}
    if guard.metric != "accuracy" or not problems:
        return told
    own = guard.problems is not None
    count = guard.drawn(config.eval) if own else looks_of(config.gate, config.eval)[0]
    variance = prior_variance(count)
    chance = chance_unchanged_passes(guard.margin, problems, variance, guard.alpha)
    return {**told, "unchanged_passes": chance}


def power_lines(power: Mapping[str, Any]) -> Iterator[str]:
    """The same in words."""
    gate = power["gate"]
    looks = ", ".join(str(count) for count in gate["looks"])
    if gate["smallest_gain"] is not None:
        yield (
            f"gate      {gate['kind']}, {looks} completions of each dev problem: sees a gain of "
            f"{100 * gate['smallest_gain']:.1f} points or more with {POWER:.0%} power, at level "
            f"{gate['level']:.3g}"
        )
    elif gate["kind"] in ("paired", "mcnemar"):
        few = "no gain could be seen on so few dev problems: nothing would ever be promoted"
        later = "the smallest gain it sees is told once dev is on this machine"
        yield (
            f"gate      {gate['kind']}, {looks} completions of each dev problem, at level "
            f"{gate['level']:.3g}; {few if gate['problems'] else later}"
        )
    elif gate["kind"] == "min_gain":
        yield "gate      min_gain: no test, so chance promotes too (docs/gates.md says how often)"
    elif gate["kind"] == "manual":
        yield "gate      manual: the run suspends at each candidate until `ratchet decide`"
    for name, guard in power["guards"].items():
        yield _guard_line(name, guard)


def _guard_line(name: str, guard: Mapping[str, Any]) -> str:
    told = f"guard     {name}: {guard['metric']}, margin {100 * guard['margin']:g} points"
    if guard["metric"] == "length":
        told = f"guard     {name}: length, margin {guard['margin']:.0%}"
    chance = guard["unchanged_passes"]
    if chance is None:
        return told
    weak = "" if chance >= _SURE else " (underpowered: more problems, or a wider margin)"
    return f"{told}: an unchanged candidate passes with {chance:.0%}{weak}"
