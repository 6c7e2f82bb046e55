"""A figure or a decision in a few words, as tables show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def percent(interval: Mapping[str, Any] | None) -> str:
    """`46.5 % [44.0, 49.0]`, with how many completions could not be graded; or a dash."""
    if not interval:
        return "–"
    ungraded = f", {interval['unscored']} not graded" if interval["unscored"] else ""
    if interval["mean"] is None:
        return f"–{ungraded}"
    mean, low, high = (100 * interval[key] for key in ("mean", "low", "high"))
    return f"{mean:.1f} % [{low:.1f}, {high:.1f}]{ungraded}"


def decision(row: Mapping[str, Any]) -> str:
    """What was decided on an iteration's candidate and why, or what it is at."""
    if row["state"] != "done" or row["verdict"] is None:
        return str(row["reason"])
    return f"{row['verdict']}: {row['reason']}"
