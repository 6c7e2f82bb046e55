"""Where an iteration's completions went, as lines that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN = 6
"""Reasons that one line names; the rest is summed."""
_GRADER_FAILURES = ("timeout", "memory", "grader_error", "reference_missing")


def funnel_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """The funnel of one shown iteration: each filter, the selection, and the verifier's audit.

    Every completion is named once: what the required filters lost and what each selection made of
    the rest sum to the number sampled.
    """
    yield f"iteration {row['iteration']}: {row['sampled']:,} completions sampled"
    for step in row["funnel_steps"]:
        # A filter that only marks lets all through; what it marked is told all the same.
        verb = "lost" if step["mode"] == "require" else "marked"
        lost = f"{verb}: {counted(step['lost'])}" if step["lost"] else ""
        name = f"{step['filter']} ({step['mode']})"
        yield f"  {name:<26} {step['in']:>8,} -> {step['out']:<8,} {lost}".rstrip()
    for training in row["trainings"]:
        fates = counted(training["fates"] or training["groups"])
        yield f"  {training['kind'] + ' rows':<26} {training['rows']:>8,}    {fates}".rstrip()
        if training["best_step"] is not None:
            yield (
                f"  {training['kind']}: weights of step {training['best_step']}, by the loss on "
                f"rows held out; {training['steps']} steps trained"
            )
    if row["verifier"]:
        yield f"  verifier: {_verifier(row['verifier'])}"


def _verifier(audit: Mapping[str, Any]) -> str:
    failed = sum(audit["failures"].values())
    return (
        f"answers found by {counted(audit['rules'])}; compared by {counted(audit['tiers'])}; "
        f"{failed} not graded{' (' + counted(audit['failures']) + ')' if failed else ''}; "
        f"{audit['suspicious_references']} problems whose completions agree against the reference"
    )


def counted(counts: Mapping[str, int]) -> str:
    """`different 120 · no_answer 7`, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name} {count:,}" for name, count in ranked[:_SHOWN] if count]
    if rest := sum(count for _, count in ranked[_SHOWN:]):
        shown.append(f"others {rest:,}")
    return " · ".join(shown)


def verifier_audit(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What a filter artifact's metrics say of the verifier; empty where none was at work."""
    if "rules" not in metrics:
        return {}
    reasons: Mapping[str, Mapping[str, int]] = metrics["reasons"]
    failures = {
        reason: count
        for counts in reasons.values()
        for reason, count in counts.items()
        if reason in _GRADER_FAILURES
    }
    return {
        "rules": metrics["rules"],
        "tiers": metrics["tiers"],
        "failures": failures,
        "suspicious_references": metrics["suspicious_references"],
    }
