"""Problems of one split, drawn until there are enough."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Literal, get_args

from ratchet.problems.arithmetic.chains import Chain, Limits, draw_chain
from ratchet.problems.arithmetic.tell import tell
from ratchet.records import Problem

Split = Literal["train", "dev", "test", "seed"]

LEVELS = range(1, 7)
"""A problem's level is its number of arithmetic steps."""

SHARES: dict[Split, range] = {
    "seed": range(10),
    "train": range(10, 70),
    "dev": range(70, 85),
    "test": range(85, 100),
}
"""The buckets (of 100) of each split. An abstract problem has one bucket, so splits can't meet."""

LIMITS = Limits()

PATIENCE = 5_000
"""Draws in a row without a new problem before the split counts as used up."""


def generate(
    split: Split, size: int, levels: Sequence[int], seed: int, limits: Limits = LIMITS
) -> list[Problem]:
    """`size` problems of a split, the levels taking turns; the same for the same arguments.

    No two problems of a draw share their steps and numbers, and no problem of one split has the
    steps and numbers of a problem of another split, whatever the sizes, seeds and limits. A smaller
    `size` gives the first problems of a larger one. `seed` is also the name of a split: the
    problems that the demo's seed model was trained on.

    Raises:
        ValueError: if an argument is out of range, or the split has fewer problems than `size`.
    """
    _check(split, size, levels)
    rng = _rng(split, seed)
    used: set[str] = set()
    problems = []
    for index in range(size):
        level = levels[index % len(levels)]
        chain = _draw_new(rng, split, level, limits, used)
        if chain is None:
            raise ValueError(
                f"split {split!r} has no new {level}-step problem left after {index} of "
                f"size={size}; ask for fewer, or add higher levels, of which there are more"
            )
        used.add(chain.key)
        problems.append(_problem(rng, chain, f"arith-{split}-{seed}-{index:06d}", split))
    return problems


def _check(split: str, size: int, levels: Sequence[int]) -> None:
    if split not in get_args(Split):
        raise ValueError(f"split={split!r} does not exist; use one of {', '.join(get_args(Split))}")
    if size < 1:
        raise ValueError(f"size={size} leaves nothing to generate; set size>=1")
    if not levels or any(level not in LEVELS for level in levels):
        raise ValueError(
            f"levels={list(levels)}, but a level is a number of steps from {LEVELS[0]} to "
            f"{LEVELS[-1]}; name at least one of these and no other"
        )


def _rng(split: str, seed: int) -> random.Random:
    digest = hashlib.sha256(f"ratchet-arithmetic|{split}|{seed}".encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def _draw_new(
    rng: random.Random, split: Split, level: int, limits: Limits, used: set[str]
) -> Chain | None:
    """A chain of this split that is not in `used`; None if none turns up."""
    for _ in range(PATIENCE):
        chain = draw_chain(rng, level, limits)
        if chain.bucket in SHARES[split] and chain.key not in used:
            return chain
    return None


def _problem(rng: random.Random, chain: Chain, problem_id: str, split: Split) -> Problem:
    telling = tell(rng, chain)
    return Problem(
        problem_id=problem_id,
        problem=telling.problem,
        reference_answer=str(chain.values[-1]),
        solution=telling.solution,
        source="arithmetic",
        split=split,
        level=len(chain.steps),
    )
