import random
import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.base import FilterContext, LengthCounts
from filters.kinds.length import Length, LengthConfig, Spread
from tests.helpers.judged import CONTEXT, make_group, make_problem


def reasons(lengths: list[int], context: FilterContext = CONTEXT, **settings: object) -> list[str]:
    config = LengthConfig.model_validate({"kind": "length", **settings})
    group = make_group(["word " * length for length in lengths])
    return [mark.reason for mark in Length(config, context).mark_group(group)]


def test_bounds_are_included() -> None:
    assert reasons([1, 2, 4, 5], min=2, max=4) == ["too_short", "fits", "fits", "too_long"]


def test_characters_can_be_counted_instead_of_tokens() -> None:
    assert reasons([1, 2], max=5, unit="chars") == ["fits", "too_long"]


def test_a_length_far_from_the_groups_is_an_outlier() -> None:
    lengths = [50, 52, 48, 51, 49, 50, 400, 1]
    found = reasons(lengths, outliers="group")
    assert found == ["fits"] * 6 + ["outlier_long", "outlier_short"]


def test_a_small_or_uniform_group_has_no_outliers() -> None:
    assert reasons([1, 1000], outliers="group") == ["fits", "fits"]
    assert reasons([7] * 10, outliers="group") == ["fits"] * 10


def test_one_odd_length_among_equals_is_an_outlier_though_the_median_deviation_is_zero() -> None:
    assert reasons([7] * 15 + [9], outliers="group")[-1] == "outlier_long"


def test_outliers_of_the_set_are_judged_by_the_whole_set() -> None:
    tokens = Counter(random.Random(0).choices(range(40, 60), k=1000))
    context = FilterContext(problems={}, lengths=LengthCounts(tokens=tokens))
    assert reasons([50, 300], context, outliers="set") == ["fits", "outlier_long"]


@given(st.lists(st.integers(0, 50), min_size=5, max_size=60))
def test_the_spread_from_counts_is_that_of_the_plain_list(lengths: list[int]) -> None:
    spread = Spread.of(Counter(lengths))
    if len(set(lengths)) == 1:
        assert spread is None
        return
    assert spread is not None
    median = statistics.median(lengths)
    gaps = [abs(length - median) for length in lengths]
    expected = statistics.median(gaps) / 0.6745 or 1.2533 * statistics.fmean(gaps)
    assert spread.median == median
    assert spread.deviation == pytest.approx(expected)


def test_the_longest_tenth_of_the_problems_is_rejected() -> None:
    problems = {f"p{i}": make_problem(f"p{i}", "x" * (i + 1)) for i in range(10)}
    context = FilterContext(problems=problems)
    rule = Length(LengthConfig(problem_quantile=0.9), context)
    found = [
        rule.mark_group(make_group(["a"], problem=problem))[0].reason
        for problem in problems.values()
    ]
    assert found == ["fits"] * 9 + ["long_problem"]


def test_contradicting_bounds_are_refused() -> None:
    with pytest.raises(ValidationError, match="every completion would be rejected"):
        LengthConfig(min=5, max=4)
