from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.base import FilterBase, Group, Mark
from filters.funnel import Funnel
from filters.judging import Judge
from ratchet.errors import InputError
from ratchet.records import Completion, Problem
from tests.helpers.judged import make_completion, make_problem


class Rule(FilterBase):
    kind: str = "rule"


class Short:
    """Accepts texts of at most `limit` characters; raises on `boom`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def mark(self, _problem: Problem, completion: Completion) -> Mark:
        if completion.completion == "boom":
            raise ValueError("no such thing")
        fits = len(completion.completion) <= self._limit
        return Mark(fits, "fits" if fits else "long")


class Standing:
    """Marks what stands when its turn comes."""

    def mark_group(self, group: Group) -> list[Mark]:
        return [Mark(True, "stood" if stands else "fell") for stands in group.standing]


class Broken:
    def __init__(self, result: Any) -> None:
        self._result = result

    def mark_group(self, group: Group) -> Any:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


def judge(rules: Sequence[Any], texts: Sequence[str], modes: Sequence[str] = ()) -> Any:
    configs = [
        Rule.model_validate({"name": f"r{at}", "mode": mode})
        for at, mode in enumerate(modes or ["require"] * len(rules))
    ]
    group = [make_completion(text, attempt) for attempt, text in enumerate(texts)]
    return Judge(configs, rules).judge(make_problem(), group, {})


def reasons(judged: Any) -> list[list[str]]:
    return [[mark.reason for mark in row] for row in judged.marks]


def test_an_exception_on_one_completion_is_a_recorded_reason_and_the_others_go_on() -> None:
    judged = judge([Short(3)], ["abc", "boom", "abcd"])
    assert reasons(judged) == [["fits", "filter_error", "long"]]
    assert judged.marks[0][1].note == "ValueError: no such thing"
    assert judged.standing == [True, False, False]


@pytest.mark.parametrize(
    ("result", "note"),
    [
        (RuntimeError("out of luck"), "RuntimeError: out of luck"),
        ([Mark(True, "one")], "Broken: 1 for 2 completions"),
        (None, "Broken: NoneType for 2 completions"),
        ([True, False], "returned bool in place of a Mark"),
    ],
)
def test_a_group_filter_that_fails_marks_its_group(result: Any, note: str) -> None:
    judged = judge([Broken(result)], ["a", "b"])
    assert reasons(judged) == [["filter_error", "filter_error"]]
    assert judged.marks[0][0].note == note


def test_wrong_input_of_the_user_stops_the_stage() -> None:
    with pytest.raises(InputError, match="no model"):
        judge([Broken(InputError("no model"))], ["a"])


def test_later_filters_see_what_the_required_ones_before_let_through() -> None:
    texts = ["ab", "abcd"]
    assert reasons(judge([Short(3), Standing()], texts))[1] == ["stood", "fell"]
    marked = judge([Short(3), Standing()], texts, ["mark", "require"])
    assert reasons(marked)[1] == ["stood", "stood"]


def test_a_completion_that_the_engine_failed_on_is_shown_to_no_filter() -> None:
    group = [
        make_completion("ab"),
        make_completion("", 1, finish_reason="error", error="prompt_too_long"),
    ]
    judged = Judge([Rule(name="a"), Rule(name="b")], [Short(3), Standing()]).judge(
        make_problem(), group, {}
    )
    assert reasons(judged) == [["fits", "prompt_too_long"], ["stood", "prompt_too_long"]]
    assert judged.standing == [True, False]


def test_marks_made_elsewhere_are_those_of_what_the_engine_did_not_fail_on() -> None:
    group = [
        make_completion("", 0, finish_reason="error", error="prompt_too_long"),
        make_completion("ab", 1),
    ]
    judged = Judge([Rule(name="a"), Rule(name="b")], [None, Standing()]).judge(
        make_problem(), group, {"a": [Mark(False, "wrong")]}
    )
    assert reasons(judged) == [["prompt_too_long", "wrong"], ["prompt_too_long", "fell"]]


rows = st.lists(
    st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), min_size=3, max_size=3), max_size=30
)


@given(rows=rows, modes=st.lists(st.sampled_from(["require", "mark"]), min_size=3, max_size=3))
def test_the_funnel_names_every_completion_once(rows: Any, modes: list[str]) -> None:
    configs = [Rule.model_validate({"name": f"r{i}", "mode": m}) for i, m in enumerate(modes)]
    funnel = Funnel(configs)
    for group in (rows[start : start + 4] for start in range(0, len(rows), 4)):
        marks = [
            [Mark(accepted, r) for accepted, r in column] for column in zip(*group, strict=True)
        ]
        funnel.add(marks)
    metrics = funnel.metrics()
    lost = sum(
        sum(step["lost"].values()) for step in metrics["funnel"] if step["mode"] == "require"
    )
    assert metrics["completions"] == len(rows) == lost + metrics["accepted"]
    assert all(sum(counts.values()) == len(rows) for counts in metrics["reasons"].values())
    for step, following in zip(metrics["funnel"], metrics["funnel"][1:], strict=False):
        assert step["out"] == following["in"]
    required = [at for at, mode in enumerate(modes) if mode == "require"]
    assert metrics["accepted"] == sum(all(row[at][0] for at in required) for row in rows)
