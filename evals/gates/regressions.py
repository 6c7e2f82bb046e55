"""The problems on which the candidate got worse, and those that may not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from evals.gates.paired import Pairs
from ratchet.errors import InputError

_SOLVED = 0.5
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Regression:
    """A problem of which the candidate solves fewer completions (means, as in `Pairs`)."""

    problem_id: str
    incumbent: float
    candidate: float

    @property
    def is_lost(self) -> bool:
        """Whether the incumbent solves half of its completions or more, the candidate fewer."""
        return self.incumbent >= _SOLVED > self.candidate


def regressions(pairs: Pairs) -> list[Regression]:
    """All problems that got worse, the largest drop first, then by id.

    With few completions of each most drops are chance: what the list is for is to be looked at.
    """
    columns = zip(pairs.ids, pairs.incumbent.tolist(), pairs.candidate.tolist(), strict=True)
    worse = [Regression(*row) for row in columns if row[2] < row[1]]
    return sorted(worse, key=lambda each: (each.candidate - each.incumbent, each.problem_id))


def pinned_regressions(pairs: Pairs, pinned: Collection[str]) -> list[Regression]:
    """The pinned problems that the incumbent solves in half of its completions or more, and the
    candidate in fewer than half."""
    if not pinned:
        return []
    wanted = frozenset(pinned)
    return [each for each in regressions(pairs) if each.problem_id in wanted and each.is_lost]


def check_pinned(pinned: Iterable[str], ids: Collection[str]) -> None:
    """Refuse pinned ids that are not among dev's, before anything is drawn.

    Raises:
        InputError: naming those that are not.
    """
    held = frozenset(ids)
    unknown = sorted(set(pinned) - held)
    if not unknown:
        return
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    example = f" (ids look like {min(held)!r})" if held else ""
    raise InputError(
        f"gate.pinned names {', '.join(map(repr, unknown[:_SHOWN]))}{more}, not among the "
        f"{len(held)} dev problems, so nothing could be watched; give ids of dev problems{example}"
    )
