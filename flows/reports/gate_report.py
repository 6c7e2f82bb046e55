"""What gate, guards and test say beyond a table's line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flows.reports.figures import percent

_SHOWN = 5


def gate_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    """The A/A test, and of each decision its guards and its regressions."""
    if shown["aa"]:
        yield f"A/A, the base model against itself: {_aa(shown['aa'])}"
    for row in shown["iterations"]:
        if row["gate"]:
            yield from _decision_lines(row["iteration"], row["gate"])
    if shown["alpha"]:
        levels = ", ".join(f"{each['level']:.4g}" for each in shown["alpha"])
        inherited = sum(each["run"] != shown["run"] for each in shown["alpha"])
        told = (
            f" ({inherited} of them by the run that this one was forked from)" if inherited else ""
        )
        yield f"alpha reserved, decision by decision: {levels}{told}"


def _aa(decided: Mapping[str, Any]) -> str:
    guards = [name for name, guard in (decided["guards"] or {}).items() if not guard["passed"]]
    said = f"{decided['verdict']}: {decided['reason']}"
    if decided["promoted"]:
        return (
            f"{said}. A gate that promotes this is broken, or it was chance: look before you run on"
        )
    return said + (f"; guards that did not pass: {', '.join(guards)}" if guards else "")


def _decision_lines(iteration: int, decided: Mapping[str, Any]) -> Iterator[str]:
    yield f"{iteration}: {decided['verdict']}: {decided['reason']}"
    for guard in (decided["guards"] or {}).values():
        yield f"{iteration}: {guard['reason']}"
    if decided["regressed"]:
        worst = ", ".join(
            f"{each['problem_id']} {100 * each['incumbent']:.0f} -> {100 * each['candidate']:.0f} %"
            for each in decided["regressions"][:_SHOWN]
        )
        drawn = (decided["candidate"] or {}).get("k", 1)
        yield (
            f"{iteration}: {decided['regressed']} dev problems got worse, by {drawn} completions "
            f"of each, most of all {worst}"
        )


def lines_of_test(shown: Mapping[str, Any]) -> Iterator[str]:
    """Base and final on test, how often it was read, and the run's verdict."""
    test = shown["test"]
    for role in ("base", "final"):
        yield f"test accuracy, {role + ':':<6} {_sized(test[role])}"
        if sampled := test[f"{role}_sampled"]:
            yield f"  mean@{sampled['k']} sampled:      {_sized(sampled)}"
    if test["readings"] > 1:
        yield (
            f"the test set was read {test['readings']} times by this run: figures chosen by it are "
            "no longer those of unseen problems"
        )
    if shown["outcome"]:
        yield shown["outcome"]["sentence"]


def _sized(interval: Mapping[str, Any] | None) -> str:
    size = f", n={interval['n']}" if interval else ""
    return f"{percent(interval)}{size}"
