"""A figure or a decision in a few words, as tables show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def share(figure: Mapping[str, Any] | None) -> str:
    """`46.5 % [44.0, 49.0]`, or a dash where there is no figure."""
    if not figure or figure["mean"] is None:
        return "–"
    mean, low, high = (100 * figure[key] for key in ("mean", "low", "high"))
    return f"{mean:.1f} % [{low:.1f}, {high:.1f}]"


def percent(interval: Mapping[str, Any] | None) -> str:
    """As `share`, with how many completions could not be graded."""
    ungraded = interval["unscored"] if interval else 0
    return f"{share(interval)}, {ungraded} not graded" if ungraded else share(interval)


def decision(row: Mapping[str, Any]) -> str:
    """What was decided on an iteration's candidate and why, or what it is at."""
    if row["state"] != "done" or row["verdict"] is None:
        return str(row["reason"])
    return f"{row['verdict']}: {_numbers(row['gate']) or row['reason']}"


def _numbers(decided: Mapping[str, Any]) -> str:
    """A decision's own numbers, e.g. `+10.0 points [7.9, 12.2], p=2e-19 at mean@2`."""
    if decided["difference"] is None or decided.get("low") is None or decided["p"] is None:
        return ""
    gain, low, high = (100 * decided[key] for key in ("difference", "low", "high"))
    failed = [name for name, guard in (decided["guards"] or {}).items() if not guard["passed"]]
    drawn = decided["looks"][-1]["completions"]
    told = f"{gain:+.1f} points [{low:.1f}, {high:.1f}], p={decided['p']:.2g} at mean@{drawn}"
    return f"{told}; guard {', '.join(failed)}" if failed else told
