"""How a stage tells what it has done so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Step:
    """One report. `done` and `total` count the stage's own unit (problems, rows, train steps)."""

    done: int
    total: int
    tokens: int = 0
    accepted: int | None = None
    completions: int = 0
    note: str = ""


class Progress(Protocol):
    """Takes a stage's reports; cheap enough to be called for every group."""

    def __call__(self, step: Step) -> None: ...


def silent(step: Step) -> None:
    """Reports to nobody."""
