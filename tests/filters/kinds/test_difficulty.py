import pytest
from pydantic import ValidationError

from filters.kinds.difficulty import Difficulty, DifficultyConfig
from tests.helpers.judged import CONTEXT, make_group


@pytest.mark.parametrize(
    ("rewards", "expected", "rate"),
    [
        ([1, 1, 1, 1], "too_easy", 1.0),
        ([0, 0, 0, 0], "never_solved", 0.0),
        ([1, 0, 0, 0, 0, 0, 0, 0], "too_hard", 0.125),
        ([1, 0, 1, 0], "in_band", 0.5),
        ([1, None, None, 0], "in_band", 0.5),
        ([None, None], "unscored", None),
        ([1], "too_easy", 1.0),
    ],
)
def test_the_pass_rate_of_the_group_decides(
    rewards: list[float | None], expected: str, rate: float | None
) -> None:
    config = DifficultyConfig(min_pass_rate=0.2, max_pass_rate=0.9)
    marks = Difficulty(config, CONTEXT).mark_group(
        make_group(["t"] * len(rewards), rewards=rewards)
    )
    assert {mark.reason for mark in marks} == {expected}
    assert {mark.reward for mark in marks} == {rate}
    assert len(marks) == len(rewards)


def test_contradicting_bounds_are_refused() -> None:
    with pytest.raises(ValidationError, match="every problem would be rejected"):
        DifficultyConfig(min_pass_rate=0.9, max_pass_rate=0.1)


def test_a_filter_without_bounds_would_accept_all_and_is_refused() -> None:
    with pytest.raises(ValidationError, match="every problem would be accepted; give one"):
        DifficultyConfig()
    assert DifficultyConfig(max_pass_rate=0.9).min_pass_rate == 0.0
