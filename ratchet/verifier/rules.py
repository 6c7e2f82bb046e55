"""What counts as the same answer, and as a final one: the switches that each source may set.

The defaults and their reasons are written down in docs/verifier.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ratchet.config import AddedLater, Config


class AnswerRules(Config):
    """How strictly answers on one source's problems are judged."""

    percent: Literal["unit", "fraction"] = "unit"
    """`unit`: 50% equals 50. `fraction`: it equals 0.5 and 1/2 as well."""
    fractions: Literal["any", "simplest"] = "any"
    """`simplest`: 6/8 is no answer to 3/4."""
    ratio: Literal["ratio", "quotient"] = "ratio"
    """`quotient`: 3:4 equals 3/4 and 6:8 as well."""
    list_order: Literal["any", "same"] = "any"
    """Whether `1, 2` answers `2, 1`. Tuples are always ordered, sets in braces never."""
    units: Literal["optional", "required"] = "optional"
    """`required`: a unit on one side only makes the answer wrong. Two that differ always do."""
    decimal_places: Annotated[int, Field(ge=0)] = 6
    """A decimal of at least this many places equals what rounds to it and has no end of its own,
    such as 1/3 or a root; 0 turns that off."""
    unevaluated: Annotated[Literal["reject", "accept"], AddedLater()] = "reject"
    """Whether `10 * 2^9` answers 5120. `reject` where the reference is a plain number, or several:
    a policy that is rewarded for such an answer learns not to compute."""
    run_on: Literal["ignore", "reject"] = "ignore"
    """Whether a completion that answers a second problem, unasked, loses its first answer."""
    several_answers: Literal["reject", "last"] = "reject"
    """What to do with different final answers, none of them taken back."""
    min_reasoning_chars: Annotated[int, Field(ge=0)] = 0
    """Characters before the answer without which it was given out of nowhere."""


DEFAULT_RULES = AnswerRules()
