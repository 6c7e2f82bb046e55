from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.selection.config import DpoSelection, GrpoSelection
from filters.selection.dpo import select_dpo
from filters.selection.group import JudgedGroup
from filters.selection.grpo import grpo_fate, grpo_row
from tests.helpers.judged import make_completion, make_problem, make_verdicts

completions = st.lists(
    st.tuples(
        st.sampled_from(["a", " a", "b", "c d", "c  d", "e f g", ""]),
        st.sampled_from([1.0, 0.0, None]),
        st.booleans(),
        st.none() | st.integers(0, 9).map(float),
    ),
    min_size=1,
    max_size=14,
)
configs = st.sampled_from(["random_pair", "closest_length", "best_worst", "hardest"]).flatmap(
    lambda strategy: st.builds(
        DpoSelection,
        strategy=st.just(strategy),
        reward=st.just("prm" if strategy in ("best_worst", "hardest") else None),
        pairs_per_problem=st.integers(1, 5),
        max_reuse=st.integers(1, 3),
    )
)


def judged(rows: list[tuple[str, float | None, bool, float | None]]) -> JudgedGroup:
    """Rows of (text, orm reward, accepted by the other filters, prm reward)."""
    verdicts = {
        "orm": make_verdicts([orm for _, orm, _, _ in rows]),
        "prm": make_verdicts([prm for *_, prm in rows], name="prm"),
    }
    group = [make_completion(text, attempt) for attempt, (text, *_) in enumerate(rows)]
    accepted = [orm == 1 and fine for _, orm, fine, _ in rows]
    return JudgedGroup(make_problem(), group, verdicts, accepted)


@given(rows=completions, config=configs, seed=st.integers(0, 20))
def test_no_pair_breaks_the_rules(rows: list, config: DpoSelection, seed: int) -> None:  # type: ignore[type-arg]
    group = judged(rows)
    paired = select_dpo(group, config, seed)
    assert paired == select_dpo(group, config, seed)
    assert len(paired.rows) <= config.pairs_per_problem
    used = Counter(a for row in paired.rows for a in (row.chosen_attempt, row.rejected_attempt))
    assert max(used.values(), default=0) <= config.max_reuse
    keys = [(row.chosen_attempt, row.rejected_attempt) for row in paired.rows]
    assert len(set(keys)) == len(keys)
    for row in paired.rows:
        assert group.accepted[row.chosen_attempt]
        assert rows[row.rejected_attempt][1] == 0
        assert row.chosen.split() != row.rejected.split()
        assert row.rejected.strip()
        if config.reward:
            assert rows[row.chosen_attempt][3] is not None
            assert rows[row.rejected_attempt][3] is not None
    assert paired.fates.total() == len(rows)
    assert (paired.outcome == "paired") == bool(paired.rows)


@pytest.mark.parametrize(
    ("orms", "outcome"),
    [
        ([1.0, 1.0], "nothing_wrong"),
        ([0.0, 0.0], "nothing_accepted"),
        ([1.0, None], "nothing_wrong"),
        ([1.0, 0.0], "paired"),
    ],
)
def test_groups_all_right_or_all_wrong_give_no_pair_and_are_named(
    orms: list[float | None], outcome: str
) -> None:
    rows = [(f"t{i}", orm, True, None) for i, orm in enumerate(orms)]
    assert select_dpo(judged(rows), DpoSelection(), 0).outcome == outcome


def cut(group: JudgedGroup, *attempts: int) -> JudgedGroup:
    completions = [
        replace(c, finish_reason="length") if c.attempt in attempts else c
        for c in group.completions
    ]
    return replace(group, completions=completions)


def test_a_cut_completion_is_not_chosen_unless_asked_but_may_be_rejected() -> None:
    rows: list[tuple[str, float | None, bool, float | None]]
    rows = [("a", 1.0, True, None), ("b", 1.0, True, None), ("c", 0.0, True, None)]
    group = cut(judged(rows), 0, 2)
    config = DpoSelection(pairs_per_problem=5, max_reuse=5)
    paired = select_dpo(group, config, 0)
    (pair,) = paired.rows
    assert (pair.chosen_attempt, pair.rejected_attempt) == (1, 2)
    assert (pair.chosen_finish_reason, pair.rejected_finish_reason) == ("stop", "length")
    assert paired.fates == Counter(chosen=1, rejected_side=1, cut=1)
    keeping = config.model_copy(update={"cut": "keep"})
    assert {row.chosen_attempt for row in select_dpo(group, keeping, 0).rows} == {0, 1}
    only_cut = select_dpo(cut(judged(rows), 0, 1), config, 0)
    assert (only_cut.rows, only_cut.outcome) == ([], "only_cut")


def test_a_right_answer_that_another_filter_rejected_is_on_neither_side() -> None:
    rows = [("a", 1.0, False, None), ("b", 0.0, True, None), ("c", 1.0, True, None)]
    config = DpoSelection(pairs_per_problem=5, max_reuse=5)
    (pair,) = select_dpo(judged(rows), config, 0).rows
    assert (pair.chosen_attempt, pair.rejected_attempt) == (2, 1)


ROWS = [("a", 1.0, True, 9.0), ("b c", 1.0, True, 2.0), ("d", 0.0, True, 1.0)]
ROWS += [("e f g h", 0.0, True, 7.0)]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("best_worst", (0, 2)), ("hardest", (1, 3)), ("closest_length", (0, 2))],
)
def test_each_strategy_ranks_as_it_says(strategy: str, expected: tuple[int, int]) -> None:
    reward = None if strategy == "closest_length" else "prm"
    config = DpoSelection.model_validate({"strategy": strategy, "reward": reward})
    (pair,) = select_dpo(judged(ROWS), config, 0).rows
    assert (pair.chosen_attempt, pair.rejected_attempt) == expected


def test_random_pairs_are_drawn_alike() -> None:
    drawn = Counter(
        (row.chosen_attempt, row.rejected_attempt)
        for seed in range(2000)
        for row in select_dpo(judged(ROWS), DpoSelection(), seed).rows
    )
    assert len(drawn) == 4
    assert max(drawn.values()) < 1.25 * min(drawn.values())


@pytest.mark.parametrize("settings", [{"strategy": "hardest"}, {"reward": "prm"}])
def test_a_reward_and_a_strategy_that_do_not_go_together_are_refused(
    settings: dict[str, object],
) -> None:
    with pytest.raises(ValidationError, match="do not go together"):
        DpoSelection.model_validate(settings)


@pytest.mark.parametrize(
    ("orms", "fate"),
    [
        ([1.0, 0.0], "in_band"),
        ([1.0, 1.0], "too_easy"),
        ([0.0, 0.0], "too_hard"),
        ([None, None], "not_graded"),
        ([1.0, None], "too_easy"),
    ],
)
def test_grpo_takes_problems_in_the_band(orms: list[float | None], fate: str) -> None:
    group = judged([(f"t{i}", orm, True, None) for i, orm in enumerate(orms)])
    assert grpo_fate(group, GrpoSelection()) == fate
    assert grpo_row(group).reference_answer == "1"
