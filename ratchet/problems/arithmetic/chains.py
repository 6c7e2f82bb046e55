"""Drawing the abstract problem: which steps, with which numbers."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from ratchet.problems.arithmetic.links import LINKS
from ratchet.problems.arithmetic.openings import OPENINGS
from ratchet.problems.arithmetic.steps import StepTemplate

SMALLEST = 2
"""No quantity goes below it, so that plurals are always right."""

LARGEST_FACTOR = 12
"""Openings stay within the times tables."""
LARGEST_FIRST = 40
"""An opening's first number in a sum, and what its difference leaves."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How large numbers get. They are low, as a demo's model has to learn the sums in minutes."""

    addend: int = 20
    """Largest number that is added or taken away."""
    quantity: int = 60
    """Largest quantity before, between and after the steps."""


@dataclass(frozen=True, slots=True)
class Chain:
    """An abstract problem: its arithmetic and its plot, without names and wording."""

    first: int
    steps: tuple[StepTemplate, ...]
    numbers: tuple[int, ...]
    """The number that each step brings; as many as `steps`."""

    @property
    def key(self) -> str:
        """The same for every telling of this problem; stable across versions and processes."""
        parts = (f"{step.name}:{n}" for step, n in zip(self.steps, self.numbers, strict=True))
        return f"{self.first}|" + "|".join(parts)

    @property
    def bucket(self) -> int:
        """0..99, by the key alone: what decides the split."""
        return int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:8], "big") % 100

    @property
    def values(self) -> tuple[int, ...]:
        """The quantity after each step."""
        value, values = self.first, []
        for step, number in zip(self.steps, self.numbers, strict=True):
            value = apply(step, value, number)
            values.append(value)
        return tuple(values)


def apply(step: StepTemplate, value: int, number: int) -> int:
    """The quantity after the step."""
    match step.operation:
        case "+":
            return value + number
        case "-":
            return value - number
        case "*":
            return value * number
        case "/":
            return value // number


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """One item, by `random()` alone: the only draw that Python promises never to change."""
    return items[int(rng.random() * len(items))]


def draw_chain(rng: random.Random, level: int, limits: Limits) -> Chain:
    """A chain of `level` steps whose quantities all lie in `SMALLEST..limits.quantity`."""
    opening = pick(rng, OPENINGS)
    first, number = _opening_numbers(rng, opening, limits)
    steps, numbers = [opening], [number]
    value = apply(opening, first, number)
    while len(steps) < level:
        step, number = _draw_link(rng, steps, value, limits)
        value = apply(step, value, number)
        steps.append(step)
        numbers.append(number)
    return Chain(first, tuple(steps), tuple(numbers))


def _opening_numbers(rng: random.Random, step: StepTemplate, limits: Limits) -> tuple[int, int]:
    number = pick(rng, _range(step, limits))
    most = limits.quantity // number
    match step.operation:
        case "+":
            return pick(rng, range(SMALLEST, LARGEST_FIRST + 1)), number
        case "-":
            return pick(rng, range(SMALLEST, LARGEST_FIRST + 1)) + number, number
        case "*":
            return pick(rng, range(SMALLEST, min(LARGEST_FACTOR, most) + 1)), number
        case "/":
            return number * pick(rng, range(SMALLEST, min(LARGEST_FACTOR, most) + 1)), number


def _draw_link(
    rng: random.Random, past: Sequence[StepTemplate], value: int, limits: Limits
) -> tuple[StepTemplate, int]:
    """A step that fits the quantity, told before only if nothing else fits, and its number."""
    fitting = [
        link for link in LINKS if link.before == past[-1].after and _numbers(link, value, limits)
    ]
    fresh = [link for link in fitting if link not in past]
    step = pick(rng, fresh or fitting)
    return step, pick(rng, _numbers(step, value, limits))


def _numbers(step: StepTemplate, value: int, limits: Limits) -> list[int]:
    """Every number that keeps the next quantity whole and within bounds."""
    numbers = _range(step, limits)
    if step.operation == "/":
        whole = [n for n in numbers if value % n == 0]
        return [n for n in whole if value // n >= SMALLEST]
    return [n for n in numbers if SMALLEST <= apply(step, value, n) <= limits.quantity]


def _range(step: StepTemplate, limits: Limits) -> range:
    return range(step.low, (step.high or limits.addend) + 1)
