"""SFT rows: which accepted completions of a group are trained on. Pure functions."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from filters.base import is_sound
from filters.selection.balance import Supply
from filters.selection.config import SftSelection
from filters.selection.group import (
    Fate,
    JudgedGroup,
    best_first,
    farthest_first,
    shuffled,
    unique_texts,
    worth_learning,
)
from ratchet.records import Completion, Problem, SftRow
from ratchet.store.identity import derive_seed

GIVEN_SOLUTION = -1
"""The `attempt` of a row that is the problem's given solution."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A group's rows, and what became of each of its completions; the fates sum to the group."""

    rows: list[SftRow]
    fates: Counter[Fate]


def supply_of(group: JudgedGroup, config: SftSelection) -> Supply:
    """What a group has to give."""
    accepted = group.those_accepted()
    rows = len(unique_texts(worth_learning(accepted, config.cut)))
    return Supply(rows, 1 - len(accepted) / len(group.completions))


def select_sft(group: JudgedGroup, target: int, config: SftSelection, seed: int) -> Chosen:
    """`target` of a group's accepted completions, no two the same text."""
    own_seed = derive_seed(seed, group.problem.problem_id)
    accepted = group.those_accepted()
    whole = worth_learning(accepted, config.cut)
    unique = unique_texts(whole)
    wanted = min(target, len(unique))
    kept = _in_order(_chosen(group, unique, wanted, config, own_seed))
    if config.control == "none":
        fates = Counter(
            rejected=len(group.completions) - len(accepted),
            cut=len(accepted) - len(whole),
            duplicate=len(whole) - len(unique),
            over_cap=len(unique) - len(kept),
            selected=len(kept),
        )
        return Chosen(_rows(kept, config), fates)
    return _control(group, wanted, config, own_seed)


def _control(group: JudgedGroup, wanted: int, config: SftSelection, seed: int) -> Chosen:
    """`wanted` completions at random, among those accepted or among all that the engine made."""
    sound = [completion for completion in group.completions if is_sound(completion)]
    among = group.those_accepted() if config.control == "accepted" else sound
    whole = worth_learning(among, config.cut)
    drawn = _in_order(shuffled(unique_texts(whole), derive_seed(seed, "control"))[:wanted])
    fates = Counter(selected=len(drawn), cut=len(among) - len(whole))
    fates["not_drawn"] = len(group.completions) - fates.total()
    return Chosen(_rows(drawn, config), fates)


def _chosen(
    group: JudgedGroup, unique: Sequence[Completion], wanted: int, config: SftSelection, seed: int
) -> list[Completion]:
    match config.order:
        case "random":
            return random.Random(seed).sample(list(unique), wanted)
        case "best":
            assert config.reward is not None
            return best_first(unique, group.rewards(config.reward), seed)[:wanted]
        case "diverse":
            return farthest_first(unique, wanted, seed)


def _in_order(completions: Sequence[Completion]) -> list[Completion]:
    return sorted(completions, key=lambda completion: completion.attempt)


def _rows(kept: Sequence[Completion], config: SftSelection) -> list[SftRow]:
    weight = 1 / len(kept) if kept and config.weights == "per_problem" else 1.0
    return [
        SftRow(
            problem_id=completion.problem_id,
            attempt=completion.attempt,
            prompt=completion.prompt,
            completion=completion.completion,
            weight=weight,
            finish_reason=completion.finish_reason,
        )
        for completion in kept
    ]


def solution_ids(problems: Mapping[str, Problem], count: int, seed: int) -> frozenset[str]:
    """Problems whose given solution is mixed in, drawn without replacement."""
    given = [problem_id for problem_id, problem in problems.items() if problem.solution]
    drawn = random.Random(derive_seed(seed, "solutions")).sample(given, min(count, len(given)))
    return frozenset(drawn)


def solution_row(problem: Problem, prompt: str) -> SftRow:
    """The given solution of a problem as a training row."""
    return SftRow(
        problem_id=problem.problem_id,
        attempt=GIVEN_SOLUTION,
        prompt=prompt,
        completion=problem.solution or "",
    )
