"""What one problem's completions show of a policy's exploration. Pure functions.

A completion without a verdict counts neither as right nor as wrong, and one that the engine failed
to make counts as none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ratchet.texts.equations.check import spelled_equations


@dataclass(frozen=True, slots=True)
class ExploredCompletion:
    """A completion that the engine made: its tokens, the sum of their log probabilities in nats,
    the outcome filter's verdict, and whether every required filter accepted it."""

    text: str
    tokens: int
    logprob: float | None
    correct: bool | None
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorationRow:
    """One problem's completions in one iteration, counted.

    Of `drawn`, `scored` have a verdict, `correct` are right in `unique` different texts (but for
    white space), `accepted` passed every required filter, `accepted_unique` different right texts
    among them. `equations` are those in the correct completions, `distinct` of them different.
    """

    SCHEMA: ClassVar[str] = "exploration/1"

    problem_id: str
    drawn: int
    scored: int
    correct: int
    unique: int
    accepted: int
    accepted_unique: int
    equations: int
    distinct: int


def explore(problem_id: str, group: Sequence[ExploredCompletion]) -> ExplorationRow:
    """Count one problem's completions."""
    correct = [each for each in group if each.correct]
    equations = _equations(correct)
    return ExplorationRow(
        problem_id=problem_id,
        drawn=len(group),
        scored=sum(each.correct is not None for each in group),
        correct=len(correct),
        unique=_different(correct),
        accepted=sum(each.accepted for each in group),
        accepted_unique=_different([each for each in correct if each.accepted]),
        equations=equations.total(),
        distinct=len(equations),
    )


def _different(group: Sequence[ExploredCompletion]) -> int:
    return len({_without_spacing(each.text) for each in group})


def _without_spacing(text: str) -> str:
    return " ".join(text.split())


def _equations(correct: Sequence[ExploredCompletion]) -> Counter[str]:
    """How often each checkable equation is written; a text that comes again is read once."""
    times = Counter(_without_spacing(each.text) for each in correct)
    texts = {_without_spacing(each.text): each.text for each in correct}
    found: Counter[str] = Counter()
    for key, text in texts.items():
        for equation, count in Counter(spelled_equations(text)).items():
            found[equation] += count * times[key]
    return found


def balance(row: ExplorationRow, wanted: int) -> float:
    """The balance score of one problem: min(n' / n*, 1) * n' / n, in [0, 1]; 0 where n is 0.

    n completions were accepted, n' of them are different right texts, n* = `wanted` would do.
    B-STaR (Zeng et al. 2024, https://arxiv.org/abs/2412.17256), equation 3.

    Raises:
        ValueError: if `wanted` is below 1.
    """
    if wanted < 1:
        raise ValueError(f"wanted={wanted} rows of a problem make no balance score; give 1 or more")
    if not row.accepted:
        return 0.0
    return min(row.accepted_unique / wanted, 1.0) * row.accepted_unique / row.accepted
