"""The step templates that a problem is chained from.

A step takes a quantity of one unit and makes the next one. In its texts `{owner}` holds the
quantity before the step, `{who}` after it, `{other}` is somebody new, `{a}` is an opening's first
number and `{n}` the step's own number (`{part}` and `{times}` say it in words).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["things", "dollars", "minutes", "pages"]
Operation = Literal["+", "-", "*", "/"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTemplate:
    """One step: what the problem tells, what it may ask, and the line of its solution."""

    name: str
    before: Unit | None
    """Unit it works on; None for an opening, which brings its own first number."""
    after: Unit
    operation: Operation
    tellings: tuple[str, ...]
    asks: tuple[str, ...]
    working: str
    moves: bool = False
    """Whether the quantity after the step is the other person's."""
    low: int = 2
    high: int | None = None
    """Bounds of `{n}`, both included; no upper one of its own means the limits' `addend`."""


HOW_MANY = ("How many {things} does {who} have now?", "What is {who}'s number of {things} then?")
HOW_MANY_PLAIN = ("How many {things} does {who} have?", "Find the number of {things} {who} has.")
HOW_MUCH = (
    "How many dollars does {who} have now?",
    "How much money, in dollars, does {who} end up with?",
)
HOW_LONG = ("How many minutes does {who} need?", "How long does that take {who}, in minutes?")
HOW_MANY_PAGES = ("How many pages is that?", "How many pages does that make for {who}?")

HAS = "{who} has {equation} {things}."
OWNS = "{who} has {equation} dollars."
NEEDS = "{who} needs {equation} minutes."
READS = "That is {equation} pages."
