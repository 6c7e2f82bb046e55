"""Drawing the abstract problem: which steps, with which numbers."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from ratchet.sources.arithmetic.links import LINKS
from ratchet.sources.arithmetic.openings import OPENINGS
from ratchet.sources.arithmetic.steps import Step

LARGEST = 60
"""No quantity goes above it: a demo's model has to learn the sums within seconds."""
SMALLEST = 2
"""No quantity goes below it, so that plurals are always right."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chain:
    """An abstract problem: its arithmetic and its plot, without names and wording."""

    first: int
    steps: tuple[Step, ...]
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


def apply(step: Step, value: int, number: int) -> int:
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


def draw_chain(rng: random.Random, level: int) -> Chain:
    """A chain of `level` steps whose quantities all lie in `SMALLEST..LARGEST`."""
    opening = pick(rng, OPENINGS)
    first, number = _opening_numbers(rng, opening)
    steps, numbers = [opening], [number]
    value = apply(opening, first, number)
    while len(steps) < level:
        step, number = _draw_link(rng, steps, value)
        value = apply(step, value, number)
        steps.append(step)
        numbers.append(number)
    return Chain(first, tuple(steps), tuple(numbers))


def _opening_numbers(rng: random.Random, step: Step) -> tuple[int, int]:
    number = pick(rng, range(step.low, step.high + 1))
    match step.operation:
        case "+":
            return pick(rng, range(SMALLEST, 41)), number
        case "-":
            return pick(rng, range(SMALLEST, 41)) + number, number
        case "*":
            return pick(rng, range(SMALLEST, min(step.high, LARGEST // number) + 1)), number
        case "/":
            return number * pick(rng, range(SMALLEST, min(12, LARGEST // number) + 1)), number


def _draw_link(rng: random.Random, past: Sequence[Step], value: int) -> tuple[Step, int]:
    """A step that fits the quantity, told before only if nothing else fits, and its number."""
    fitting = [link for link in LINKS if link.before == past[-1].after and _numbers(link, value)]
    fresh = [link for link in fitting if link not in past]
    step = pick(rng, fresh or fitting)
    return step, pick(rng, _numbers(step, value))


def _numbers(step: Step, value: int) -> list[int]:
    """Every number that keeps the next quantity whole and within bounds."""
    numbers = range(step.low, step.high + 1)
    if step.operation == "/":
        numbers_whole = [n for n in numbers if value % n == 0]
        return [n for n in numbers_whole if value // n >= SMALLEST]
    return [n for n in numbers if SMALLEST <= apply(step, value, n) <= LARGEST]
