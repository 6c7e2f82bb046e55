"""What a run has used up and never gets back: its alpha, and looks at the test set.

Both are records that only grow. A resume finds its own entry again; a redo and a fork go on where
the record ends (docs/gates.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ratchet.store.files import read_json, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Alpha set aside for one decision, before anything was measured for it.

    `contest` names who is compared on what; `promoted` is None until it is decided. `run` is the
    run that reserved it: another one in a fork's record.
    """

    number: int
    run: str
    step: str
    contest: str
    level: float
    promoted: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One time that the test set was measured and shown; `at` in seconds since the epoch."""

    number: int
    run: str
    policies: str
    at: float
    finished: bool = False


LevelOf = Callable[[int, tuple[float, bool] | None], float]
"""The level of the n-th decision, by the level of the one before and whether it promoted."""


class Spent:
    """The record of one run, in its folder. Every change is on disk before the call returns."""

    def __init__(self, folder: Path, run: str) -> None:
        self._folder = folder
        self._run = run

    def _read(self, name: str) -> list[dict[str, Any]]:
        path = self._folder / f"{name}.json"
        found: list[dict[str, Any]] = read_json(path) if path.exists() else []
        return found

    def _write(self, name: str, entries: list[Any]) -> None:
        write_json(self._folder / f"{name}.json", [asdict(entry) for entry in entries])

    def reservations(self) -> list[Reservation]:
        """The alpha that was set aside, decision by decision."""
        return [Reservation(**entry) for entry in self._read("alpha")]

    def reserve(self, contest: str, step: str, level_of: LevelOf) -> Reservation:
        """Set alpha aside for a contest; the same contest has what it was given the first time."""
        known = self.reservations()
        for entry in known:
            if entry.contest == contest:
                return entry
        last = known[-1] if known else None
        before = (last.level, last.promoted is True) if last else None
        number = len(known) + 1
        level = level_of(number, before)
        made = Reservation(number=number, run=self._run, step=step, contest=contest, level=level)
        self._write("alpha", [*known, made])
        return made

    def settle(self, contest: str, promoted: bool) -> None:
        """Say how a contest ended: what was set aside for a promotion goes to the next decision."""
        entries = self.reservations()
        changed = [replace(e, promoted=promoted) if e.contest == contest else e for e in entries]
        if changed != entries:
            self._write("alpha", changed)

    def readings(self) -> list[Reading]:
        """How often the test set was measured and shown."""
        return [Reading(**entry) for entry in self._read("test_readings")]

    def begin_reading(self, policies: str) -> Reading:
        """Count a reading before it is made; one that was cut off goes on as the same."""
        known = self.readings()
        if known and not known[-1].finished and known[-1].policies == policies:
            return known[-1]
        made = Reading(
            number=len(known) + 1, run=self._run, policies=policies, at=round(time.time(), 3)
        )
        self._write("test_readings", [*known, made])
        return made

    def finish_reading(self) -> None:
        """The last reading's figures were shown."""
        *before, last = self.readings()
        self._write("test_readings", [*before, replace(last, finished=True)])

    def inherit(self, parent: Spent) -> None:
        """Begin a fork's record as its parent's stands: what was spent there is spent here.

        Decisions that the parent made after the fork's point count too: they were seen.
        """
        self._write("alpha", parent.reservations())
        self._write("test_readings", parent.readings())
