"""From an abstract problem to its text and its worked solution."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from ratchet.problems.arithmetic.chains import Chain, pick
from ratchet.problems.arithmetic.steps import StepTemplate
from ratchet.problems.arithmetic.words import GOODS, NAMES, PARTS, REMARKS, THINGS, TIMES

REMARK_RATE = 0.25
"""Share of problems with a sentence that does not matter."""


@dataclass(frozen=True, slots=True)
class Telling:
    """A problem's two texts."""

    problem: str
    solution: str


def tell(rng: random.Random, chain: Chain) -> Telling:
    """The chain in words: names, things, wordings and side remarks are drawn here."""
    names = _shuffled_names(rng, len(chain.steps) + 2)
    bystander, owner = names.pop(), names.pop()
    things = pick(rng, THINGS)
    sentences, workings = [], []
    value, question = chain.first, ""
    for step, number, result in zip(chain.steps, chain.numbers, chain.values, strict=True):
        other = names.pop()
        who = other if step.moves else owner
        slots = _slots(step, value, number) | {
            "owner": owner,
            "other": other,
            "who": who,
            "things": things,
            "goods": pick(rng, GOODS),
            "equation": f"{value}{step.operation}{number}={result}",
        }
        sentences.append(_fill(pick(rng, step.tellings), slots))
        workings.append(_fill(step.working, slots))
        question = _fill(pick(rng, step.asks), slots)
        owner, value = who, result
    remark = _remark(rng, bystander)
    problem = " ".join([*sentences, *remark, question])
    return Telling(problem, " ".join([*workings, f"\\boxed{{{value}}}"]))


def _shuffled_names(rng: random.Random, count: int) -> list[str]:
    names: list[str] = []
    while len(names) < count:
        name = pick(rng, NAMES)
        if name not in names:
            names.append(name)
    return names


def _slots(step: StepTemplate, value: int, number: int) -> dict[str, str]:
    return {
        "a": str(value),
        "n": str(number),
        "part": PARTS.get(number, ""),
        "times": TIMES.get(number, ""),
    }


def _fill(text: str, slots: Mapping[str, str]) -> str:
    return text.format_map(slots)


def _remark(rng: random.Random, bystander: str) -> list[str]:
    if rng.random() >= REMARK_RATE:
        return []
    slots = {"bystander": bystander, "x": str(pick(rng, range(5, 41)))}
    return [_fill(pick(rng, REMARKS), slots)]
