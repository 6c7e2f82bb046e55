"""The arithmetic filter: every equation that a completion writes and that can be checked holds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from filters.base import FilterBase, FilterContext, Mark, short_note
from ratchet.records import Completion, Problem
from ratchet.texts.equations.check import checkable, held_share


class ArithmeticConfig(FilterBase):
    """How many false equations a completion may have."""

    kind: Literal["arithmetic"] = "arithmetic"
    max_wrong: Annotated[int, Field(ge=0)] = 0
    """Accept up to so many false equations."""


class Arithmetic:
    """Accepts `equations_hold` and `no_equations`; rejects `wrong_equation`.

    The reward is the share of the checkable equations that hold, None where there are none; the
    note is the first false equation, also where it is accepted.
    """

    def __init__(self, config: ArithmeticConfig, context: FilterContext) -> None:
        self._max_wrong = config.max_wrong

    def mark(self, problem: Problem, completion: Completion) -> Mark:
        """One completion's mark; the problem isn't looked at."""
        equations = checkable(completion.completion)
        share = held_share(equations)
        if share is None:
            return Mark(True, "no_equations")
        wrong = [equation for equation in equations if not equation.holds]
        accepted = len(wrong) <= self._max_wrong
        return Mark(
            accepted,
            "equations_hold" if accepted else "wrong_equation",
            share,
            short_note(wrong[0].text) if wrong else None,
        )
