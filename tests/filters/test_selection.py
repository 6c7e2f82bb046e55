from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.config import SelectionConfig
from filters.selection import (
    GIVEN_SOLUTION,
    cap_at_random,
    select_group,
    solution_ids,
    solution_row,
    unique_texts,
)
from ratchet.records import Completion, Problem


def make_completion(attempt: int, text: str, problem_id: str = "p") -> Completion:
    return Completion(
        problem_id=problem_id,
        iteration=0,
        attempt=attempt,
        prompt="Q",
        completion=text,
        finish_reason="stop",
        num_prompt_tokens=1,
        num_tokens=1,
        logprob=None,
        policy="f",
        sampler="do_sample",
        temperature=1.0,
    )


def make_group(texts: list[str]) -> list[Completion]:
    return [make_completion(attempt, text) for attempt, text in enumerate(texts)]


def test_completions_that_differ_in_whitespace_only_count_once() -> None:
    group = make_group(["2+2 = 4", "2+2  =  4\n", "4"])
    assert [c.attempt for c in unique_texts(group)] == [0, 2]


texts = st.lists(st.sampled_from(["a", "b", " a", "c", "d e", "d  e"]), max_size=20)


@given(texts=texts, cap=st.integers(1, 8), seed=st.integers(0, 100))
def test_selection_is_a_function_of_its_inputs_and_keeps_its_cap(
    texts: list[str], cap: int, seed: int
) -> None:
    config = SelectionConfig(max_per_problem=cap)
    group = make_group(texts)
    rows = select_group(group, config, seed)
    assert rows == select_group(group, config, seed)
    distinct = {" ".join(text.split()) for text in texts}
    assert len(rows) == min(cap, len(distinct))
    assert len({" ".join(row.completion.split()) for row in rows}) == len(rows)
    assert [row.attempt for row in rows] == sorted(row.attempt for row in rows)


def test_the_cap_draws_every_completion_alike() -> None:
    group = make_group([str(i) for i in range(6)])
    drawn = Counter(c.attempt for seed in range(3000) for c in cap_at_random(group, 2, seed))
    assert set(drawn) == set(range(6))
    assert max(drawn.values()) - min(drawn.values()) < 200


def make_problem(index: int, solution: str | None) -> Problem:
    return Problem(problem_id=f"p{index}", problem="?", reference_answer="1", solution=solution)


def test_given_solutions_are_mixed_in_only_when_asked_and_say_so() -> None:
    problems = {f"p{i}": make_problem(i, "s" if i % 2 else None) for i in range(10)}
    assert solution_ids(problems, 0, seed=1) == frozenset()
    chosen = solution_ids(problems, 3, seed=1)
    assert len(chosen) == 3
    assert all(problems[i].solution for i in chosen)
    assert len(solution_ids(problems, 99, seed=1)) == 5
    assert solution_row(problems["p1"], "Q").attempt == GIVEN_SOLUTION


def test_a_cap_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        SelectionConfig(max_per_problem=0)
