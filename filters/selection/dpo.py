"""DPO pairs: which completions of a group are set against each other. Pure functions.

A pair's chosen side was accepted by every required filter; its rejected side was graded, and found
wrong. So a right answer that another filter turned down is on neither side, and a group that is all
right, or all wrong, gives no pair. A completion that was cut at its length limit is not imitated
unless asked, but may be rejected: to have run on is a fault worth learning from.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from filters.selection.config import DpoSelection
from filters.selection.group import Fate, JudgedGroup, same_text, unique_texts, worth_learning
from ratchet.records import Completion, DpoRow
from ratchet.store.identity import derive_seed

GroupOutcome = Literal["paired", "nothing_accepted", "only_cut", "nothing_wrong", "no_rewards"]
Pair = tuple[Completion, Completion]


@dataclass(frozen=True, slots=True)
class Paired:
    """A group's pairs, why there are none where there are none, and each completion's fate."""

    rows: list[DpoRow]
    outcome: GroupOutcome
    fates: Counter[Fate]


def select_dpo(group: JudgedGroup, config: DpoSelection, seed: int) -> Paired:
    """At most `pairs_per_problem` pairs, in the strategy's order, none with a completion that was
    used `max_reuse` times already."""
    accepted = group.those_accepted()
    whole = worth_learning(accepted, config.cut)
    chosen = unique_texts(whole)
    texts = {same_text(completion) for completion in accepted}
    wrong = [c for c in unique_texts(_wrong(group, config)) if same_text(c) not in texts]
    if config.reward is not None:
        rewards = group.rewards(config.reward)
        scored = [[c for c in side if c.attempt in rewards] for side in (chosen, wrong)]
    else:
        rewards, scored = {}, [chosen, wrong]
    pairs = _capped(_ranked(scored[0], scored[1], rewards, config, group, seed), config)
    used = Counter({"chosen": len({c.attempt for c, _ in pairs})})
    used["rejected_side"] = len({r.attempt for _, r in pairs})
    used["cut"] = len(accepted) - len(whole)
    used["unused"] = len(group.completions) - used.total()
    return Paired([_row(pair) for pair in pairs], _outcome(accepted, chosen, wrong, pairs), used)


def _wrong(group: JudgedGroup, config: DpoSelection) -> list[Completion]:
    """Completions that were graded and are wrong; what the grader could not judge is not."""
    rewards = group.rewards(config.wrong_by)
    return [
        completion
        for completion in group.completions
        if rewards.get(completion.attempt) == 0 and completion.completion.strip()
    ]


def _ranked(
    chosen: Sequence[Completion],
    wrong: Sequence[Completion],
    rewards: Mapping[int, float],
    config: DpoSelection,
    group: JudgedGroup,
    seed: int,
) -> list[Pair]:
    """All pairs in the strategy's order; equals in random order."""
    pairs = [(c, r) for c in chosen for r in wrong]
    random.Random(derive_seed(seed, group.problem.problem_id)).shuffle(pairs)
    match config.strategy:
        case "random_pair":
            return pairs
        case "closest_length":
            return sorted(pairs, key=lambda pair: abs(pair[0].num_tokens - pair[1].num_tokens))
        case "best_worst":
            return sorted(pairs, key=lambda pair: -_gap(pair, rewards))
        case "hardest":
            return sorted(pairs, key=lambda pair: _gap(pair, rewards))


def _gap(pair: Pair, rewards: Mapping[int, float]) -> float:
    return rewards[pair[0].attempt] - rewards[pair[1].attempt]


def _capped(ranked: Sequence[Pair], config: DpoSelection) -> list[Pair]:
    kept: list[Pair] = []
    used: Counter[int] = Counter()
    for chosen, rejected in ranked:
        if len(kept) == config.pairs_per_problem:
            break
        if max(used[chosen.attempt], used[rejected.attempt]) < config.max_reuse:
            used.update((chosen.attempt, rejected.attempt))
            kept.append((chosen, rejected))
    return kept


def _outcome(
    accepted: Sequence[Completion],
    chosen: Sequence[Completion],
    wrong: Sequence[Completion],
    pairs: Sequence[Pair],
) -> GroupOutcome:
    if pairs:
        return "paired"
    if not chosen:
        return "only_cut" if accepted else "nothing_accepted"
    return "no_rewards" if wrong else "nothing_wrong"


def _row(pair: Pair) -> DpoRow:
    chosen, rejected = pair
    return DpoRow(
        problem_id=chosen.problem_id,
        chosen_attempt=chosen.attempt,
        rejected_attempt=rejected.attempt,
        prompt=chosen.prompt,
        chosen=chosen.completion,
        rejected=rejected.completion,
        chosen_finish_reason=chosen.finish_reason,
        rejected_finish_reason=rejected.finish_reason,
    )
