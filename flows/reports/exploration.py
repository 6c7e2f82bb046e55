"""How a policy explores, iteration by iteration, as lines that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN = (
    "problems",
    "left_out",
    "solved",
    "coverage",
    "unique_per_problem",
    "unique_per_solved",
    "distinct_share",
    "pass_at_k",
    "base",
    "mean_tokens",
    "nats_per_token",
    "temperatures",
    "balance",
    "wanted_per_problem",
)


def shown_exploration(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """An exploration artifact's figures as programs read them."""
    return {name: metrics[name] for name in _SHOWN}


def exploration_line(shown: Mapping[str, Any]) -> str:
    """One line on an iteration; what could not be measured is left out of it."""
    return "explore: " + " · ".join(_parts(shown))


def _parts(shown: Mapping[str, Any]) -> Iterator[str]:
    yield f"{shown['solved']:,} of {shown['problems']:,} solved"
    if shown["unique_per_solved"] is not None:
        yield f"{shown['unique_per_solved']:.1f} unique per solved"
    if shown["distinct_share"] is not None:
        yield f"{100 * shown['distinct_share']:.0f} % of equations distinct"
    if shown["pass_at_k"]:
        yield _pass_at_k(shown)
    if shown["nats_per_token"] is not None:
        yield f"{shown['nats_per_token']:.2f} nats a token{_drawn_at(shown['temperatures'])}"
    if shown["balance"] is not None:
        yield f"balance {shown['balance']:.2f}"


def _pass_at_k(shown: Mapping[str, Any]) -> str:
    """At the largest k; beside the base's, on the problems and at the k that both have."""
    if (base := shown["base"]) is not None:
        own, other = (100 * base[side]["mean"] for side in ("own", "base"))
        return f"pass@{base['k']} {own:.1f} % (base {other:.1f} %)"
    k = max(shown["pass_at_k"], key=int)
    return f"pass@{k} {100 * shown['pass_at_k'][k]['mean']:.1f} %"


def _drawn_at(temperatures: list[float]) -> str:
    """Said where it is not 1, as the figure is the policy's entropy at 1 alone."""
    if temperatures == [1.0]:
        return ""
    return f" (drawn at temperature {', '.join(f'{t:g}' for t in temperatures)})"
