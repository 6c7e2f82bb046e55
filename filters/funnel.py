"""The funnel: where the completions went, filter by filter and reason by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from filters.base import FILTER_ERROR, FilterBase, Mark


@dataclass(slots=True)
class FunnelStep:
    """One filter's counts. `lost` is by reason, of those that every filter before let through."""

    name: str
    mode: str
    reasons: Counter[str] = field(default_factory=Counter)
    entered: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def left(self) -> int:
        """How many went on; a filter that only marks keeps nobody."""
        return self.entered - (self.lost.total() if self.mode == "require" else 0)


class Funnel:
    """Counts of one stage."""

    def __init__(self, configs: Sequence[FilterBase]) -> None:
        self.steps = [FunnelStep(config.label, config.mode) for config in configs]
        self.completions = 0
        self.accepted = 0
        self.groups = 0
        self.solved = 0
        self.error_notes: dict[str, str] = {}

    def add(self, marks: Sequence[Sequence[Mark]]) -> None:
        """Count one group: `marks[i][j]` is filter i's on completion j."""
        accepted = 0
        for row in zip(*marks, strict=True):
            accepted += self._add_completion(row)
        self.accepted += accepted
        self.groups += 1
        self.solved += accepted > 0

    def _add_completion(self, row: Sequence[Mark]) -> bool:
        self.completions += 1
        standing = True
        for step, mark in zip(self.steps, row, strict=True):
            step.reasons[mark.reason] += 1
            step.entered += standing
            if mark.reason == FILTER_ERROR:
                self.error_notes.setdefault(step.name, mark.note or "")
            if standing and not mark.accepted:
                step.lost[mark.reason] += 1
                standing = step.mode != "require"
        return standing

    def metrics(self) -> dict[str, Any]:
        """As in the manifest. A filter's `reasons` sum to `completions`; `accepted` and all that
        was `lost` at filters that are required sum to it too."""
        return {
            "completions": self.completions,
            "accepted": self.accepted,
            "problems": self.groups,
            "problems_solved": self.solved,
            "reasons": {step.name: _by_count(step.reasons) for step in self.steps},
            "funnel": [
                {
                    "filter": step.name,
                    "mode": step.mode,
                    "in": step.entered,
                    "out": step.left,
                    "lost": _by_count(step.lost),
                }
                for step in self.steps
            ],
        }


def _by_count(counts: Counter[str]) -> dict[str, int]:
    """Most frequent first; the order of equals does not depend on who counted first."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
