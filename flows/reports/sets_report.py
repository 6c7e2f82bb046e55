"""What is said of the problem sets: what they share, and what a cut left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ratchet.problems.coverage import coverage_warnings
from ratchet.problems.sets import ProblemSet
from ratchet.store.artifacts import Manifest
from ratchet.store.ledger import LedgerEntry

STAGE = "problems"
"""The ledger's name for a set that shared problems: `base/problems/train`."""
_SHOWN = 5


def shown_overlaps(
    entries: Mapping[str, LedgerEntry], manifests: Mapping[str, Manifest | None]
) -> dict[str, Any]:
    """Of each set of a run that shared problems: how many, with what, and where they are listed."""
    return {
        entry.key.subject: {**_brief(manifest.metrics), "artifact": entry.identity}
        for step, entry in entries.items()
        if entry.stage == STAGE and (manifest := manifests[step])
    }


def _brief(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary with a few of its pairs."""
    return {**summary, "overlaps": summary["overlaps"][:_SHOWN]}


def overlap_lines(overlaps: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One line for each set that shares problems, as a run, `plan` and `show` tell it."""
    for name, found in overlaps.items():
        if not found["shared"]:
            continue
        by = ", ".join(f"{holder} ({count:,})" for holder, count in found["by"].items())
        count = f"{found['shared']:,} of {found['of']:,} problems"
        pair = found["overlaps"][0]
        example = f"{pair['problem_id']} ~ {pair['held_by']} {pair['other_id']}"
        if found["on_overlap"] == "allow":
            fate = 'kept, as on_overlap = "allow" says: figures may measure memory'
        else:
            fate = "dropped"
        yield f"{name}: {count} stand, or nearly stand, in {by} too: {fate} (e.g. {example})"


def start_lines(sets: Mapping[str, ProblemSet]) -> list[str]:
    """What a run says of its sets before anything else; nothing where all is well."""
    overlaps = {name: each.overlap for name, each in sets.items() if each.overlap}
    problems = {name: each.problems for name, each in sets.items()}
    warnings = [f"warning: {warning}" for warning in coverage_warnings(problems)]
    return [*overlap_lines(overlaps), *warnings]
