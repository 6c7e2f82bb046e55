"""One group as selection sees it, and what the kinds of selection share. Pure functions."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from filters.selection.config import Cut
from filters.similarity.near_duplicates import jaccard
from ratchet.records import Completion, Problem, Verdict

Fate = str
"""What became of one completion, e.g. `selected`, `rejected`, `cut`, `duplicate`, `over_cap`."""


@dataclass(frozen=True, slots=True)
class JudgedGroup:
    """A group with its verdicts, by filter name, and which completions every required filter
    accepted. All lists are in the order of `completions`."""

    problem: Problem
    completions: Sequence[Completion]
    verdicts: Mapping[str, Sequence[Verdict]]
    accepted: Sequence[bool]

    @property
    def prompt(self) -> str:
        return self.completions[0].prompt

    def rewards(self, name: str) -> dict[int, float]:
        """attempt -> the named filter's reward, where there is one."""
        return {v.attempt: v.reward for v in self.verdicts[name] if v.reward is not None}

    def those_accepted(self) -> list[Completion]:
        return [c for c, fine in zip(self.completions, self.accepted, strict=True) if fine]


def worth_learning(completions: Sequence[Completion], cut: Cut) -> list[Completion]:
    """Those that may be imitated: whole ones, and cut ones with any text where they are kept."""
    return [
        completion
        for completion in completions
        if completion.finish_reason != "length" or (cut == "keep" and completion.completion.strip())
    ]


def same_text(completion: Completion) -> str:
    """What two completions share that differ in white space only."""
    return " ".join(completion.completion.split())


def unique_texts(completions: Sequence[Completion]) -> list[Completion]:
    """The first of each set of completions that differ in white space only."""
    first: dict[str, Completion] = {}
    for completion in completions:
        first.setdefault(same_text(completion), completion)
    return list(first.values())


def shuffled(completions: Sequence[Completion], seed: int) -> list[Completion]:
    """All of them in a random order that hangs on `seed` and their number alone."""
    order = list(completions)
    random.Random(seed).shuffle(order)
    return order


def best_first(
    completions: Sequence[Completion], rewards: Mapping[int, float], seed: int
) -> list[Completion]:
    """From the highest reward down, those without one last; equals in random order."""
    return sorted(
        shuffled(completions, seed),
        key=lambda completion: -rewards.get(completion.attempt, float("-inf")),
    )


def farthest_first(completions: Sequence[Completion], count: int, seed: int) -> list[Completion]:
    """`count` of them: one at random, then each time the one farthest from all those before.

    Distance is 1 - Jaccard similarity of word pairs; the greedy choice is Gonzalez' (1985)
    2-approximation of the widest spread. Time is `count` times their number.
    """
    left = shuffled(completions, seed)
    pairs = {c.attempt: _word_pairs(c.completion) for c in left}
    chosen: list[Completion] = []
    gaps = {c.attempt: float("inf") for c in left}
    while left and len(chosen) < count:
        farthest = max(left, key=lambda c: gaps[c.attempt])
        left.remove(farthest)
        chosen.append(farthest)
        for other in left:
            gap = 1 - jaccard(pairs[farthest.attempt], pairs[other.attempt])
            gaps[other.attempt] = min(gaps[other.attempt], gap)
    return chosen


def _word_pairs(text: str) -> frozenset[tuple[str, str]]:
    words = ["", *text.split(), ""]
    return frozenset(pairwise(words))
