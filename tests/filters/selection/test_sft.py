from collections import Counter
from collections.abc import Collection
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.selection.balance import Supply
from filters.selection.config import GrpoSelection, SftSelection
from filters.selection.group import JudgedGroup, farthest_first, unique_texts
from filters.selection.sft import GIVEN_SOLUTION, select_sft, solution_ids, solution_row, supply_of
from flows.config import load_config
from ratchet.records import Problem
from tests.helpers.judged import make_completion, make_problem, make_verdicts
from tests.helpers.places import CONFIGS

WORDS = ["a", "b", " a", "c", "d e", "d  e", "f g h", "f g i"]
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=20)


def judged(
    texts: list[str],
    accepted: list[bool] | None = None,
    rewards: list[float | None] | None = None,
    cut: Collection[int] = (),
) -> JudgedGroup:
    completions = [
        make_completion(text, attempt, finish_reason="length" if attempt in cut else "stop")
        for attempt, text in enumerate(texts)
    ]
    scores = rewards if rewards is not None else [0.0] * len(texts)
    verdicts = {"prm": make_verdicts(scores, name="prm")}
    return JudgedGroup(make_problem(), completions, verdicts, accepted or [True] * len(texts))


def test_completions_that_differ_in_whitespace_only_count_once() -> None:
    group = judged(["2+2 = 4", "2+2  =  4\n", "4"])
    assert [c.attempt for c in unique_texts(group.completions)] == [0, 2]


@given(
    texts=texts,
    accepted=st.lists(st.booleans(), min_size=20, max_size=20),
    target=st.integers(0, 8),
    seed=st.integers(0, 100),
    order=st.sampled_from(["random", "diverse", "best"]),
)
def test_selection_is_a_function_of_its_inputs_and_keeps_its_target(
    texts: list[str], accepted: list[bool], target: int, seed: int, order: str
) -> None:
    reward = "prm" if order == "best" else None
    config = SftSelection.model_validate({"order": order, "reward": reward})
    flags = accepted[: len(texts)]
    group = judged(texts, flags, [float(len(text)) for text in texts])
    chosen = select_sft(group, target, config, seed)
    assert chosen == select_sft(group, target, config, seed)
    distinct = {" ".join(text.split()) for text, fine in zip(texts, flags, strict=True) if fine}
    assert len(chosen.rows) == min(target, len(distinct)) == chosen.fates["selected"]
    assert len({" ".join(row.completion.split()) for row in chosen.rows}) == len(chosen.rows)
    assert all(flags[row.attempt] for row in chosen.rows)
    assert chosen.fates.total() == len(texts)


@given(texts=texts, target=st.integers(0, 8), seed=st.integers(0, 50))
def test_a_control_has_as_many_rows_as_what_it_controls(
    texts: list[str], target: int, seed: int
) -> None:
    flags = [at % 3 != 0 for at in range(len(texts))]
    group = judged(texts, flags)
    wanted = len(select_sft(group, target, SftSelection(), seed).rows)
    for control in ("accepted", "completions"):
        config = SftSelection.model_validate({"control": control})
        drawn = select_sft(group, target, config, seed)
        assert len(drawn.rows) == wanted
        assert drawn.fates.total() == len(texts)
        if control == "accepted":
            assert all(flags[row.attempt] for row in drawn.rows)


def test_a_control_over_all_completions_draws_rejected_ones_as_often_as_others() -> None:
    group = judged([str(i) for i in range(6)], [True, True, False, False, False, False])
    config = SftSelection(control="completions")
    drawn = Counter(
        row.attempt for seed in range(3000) for row in select_sft(group, 2, config, seed).rows
    )
    assert max(drawn.values()) - min(drawn.values()) < 200


def test_the_cap_draws_every_completion_alike() -> None:
    group = judged([str(i) for i in range(6)])
    drawn = Counter(
        row.attempt
        for seed in range(3000)
        for row in select_sft(group, 2, SftSelection(), seed).rows
    )
    assert set(drawn) == set(range(6))
    assert max(drawn.values()) - min(drawn.values()) < 200


def test_best_first_goes_by_the_named_reward_and_takes_the_unscored_last() -> None:
    group = judged(["a", "b", "c", "d"], rewards=[0.1, None, 0.9, 0.5])
    config = SftSelection(order="best", reward="prm")
    picked = [row.attempt for row in select_sft(group, 2, config, 0).rows]
    assert picked == [2, 3]
    assert [row.attempt for row in select_sft(group, 3, config, 0).rows] == [0, 2, 3]


def test_an_accepted_completion_that_was_cut_is_not_trained_on_unless_asked() -> None:
    """An early box and a text that ran on to the limit was trained on with an end token."""
    group = judged(["a", "b", "c", "d"], [True, True, True, False], cut=[1, 3])
    chosen = select_sft(group, 4, SftSelection(), 0)
    assert [row.attempt for row in chosen.rows] == [0, 2]
    assert chosen.fates == Counter(selected=2, cut=1, rejected=1)
    kept = select_sft(group, 4, SftSelection(cut="keep"), 0).rows
    assert [(row.attempt, row.finish_reason) for row in kept] == [
        (0, "stop"),
        (1, "length"),
        (2, "stop"),
    ]
    assert supply_of(group, SftSelection()) == Supply(2, 0.25)
    assert supply_of(group, SftSelection(cut="keep")) == Supply(3, 0.25)


@pytest.mark.parametrize("control", ["accepted", "completions"])
def test_a_control_leaves_cut_completions_out_as_its_arm_does(control: str) -> None:
    group = judged([str(i) for i in range(6)], [True, True, True, True, False, False], cut=[1, 5])
    config = SftSelection.model_validate({"control": control})
    for seed in range(50):
        drawn = select_sft(group, 4, config, seed)
        assert len(drawn.rows) == 3
        assert not {1, 5} & {row.attempt for row in drawn.rows}
        assert drawn.fates.total() == 6
        assert drawn.fates["cut"] == (1 if control == "accepted" else 2)


@given(texts=st.lists(st.sampled_from(WORDS), min_size=2, max_size=8, unique=True))
def test_farthest_first_spreads_at_least_half_as_widely_as_the_best_choice(
    texts: list[str],
) -> None:
    group = judged(texts)

    def distance(one: str, other: str) -> float:
        def pairs(text: str) -> set[tuple[str, str]]:
            words = ["", *text.split(), ""]
            return set(pairwise(words))

        return 1 - len(pairs(one) & pairs(other)) / len(pairs(one) | pairs(other))

    def spread(chosen: list[str]) -> float:
        return min(distance(a, b) for a, b in combinations(chosen, 2))

    count = min(3, len(texts))
    found = [c.completion for c in farthest_first(group.completions, count, 0)]
    best = max(spread(list(some)) for some in combinations(texts, count))
    assert spread(found) >= best / 2


def test_weights_per_problem_sum_to_one() -> None:
    rows = select_sft(judged(["a", "b", "c"]), 4, SftSelection(weights="per_problem"), 0).rows
    assert sum(row.weight for row in rows) == pytest.approx(1)


def test_supply_counts_distinct_accepted_texts_and_all_failures() -> None:
    supply = supply_of(judged(["a", " a", "b", "c"], [True, True, True, False]), SftSelection())
    assert (supply.rows, supply.fail_rate) == (2, 0.25)


def test_given_solutions_are_mixed_in_only_when_asked_and_say_so() -> None:
    problems = {
        f"p{i}": Problem(
            problem_id=f"p{i}",
            problem="?",
            reference_answer="1",
            solution="s" if i % 2 else None,
        )
        for i in range(10)
    }
    assert solution_ids(problems, 0, seed=1) == frozenset()
    chosen = solution_ids(problems, 3, seed=1)
    assert len(chosen) == 3
    assert all(problems[i].solution for i in chosen)
    assert len(solution_ids(problems, 99, seed=1)) == 5
    assert solution_row(problems["p1"], "Q").attempt == GIVEN_SOLUTION


@pytest.mark.parametrize("settings", [{"max_per_problem": 0}, {"order": "best"}, {"reward": "prm"}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SftSelection.model_validate(settings)


@pytest.mark.parametrize("recipe", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_leaves_cut_completions_out(recipe: Path) -> None:
    trainings = load_config(recipe).trainings()
    cuts = [t.selection.cut for t in trainings if not isinstance(t.selection, GrpoSelection)]
    assert set(cuts) <= {"leave_out"}
