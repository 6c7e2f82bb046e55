from collections.abc import Sequence
from typing import Any

import pytest

from filters.base import FilterContext, Group, GroupFilter, Mark
from filters.kinds.decontamination import Decontamination, DecontaminationConfig
from ratchet.config import parse_config
from ratchet.errors import InputError
from tests.helpers.judged import make_group, make_problem

DEV = "A baker sells 12 loaves in the morning and 30 in the afternoon; how many is that in all?"
TEST = "Nine hens lay two eggs each day for a week. How many eggs does the farmer then have?"
TRAIN = "A train goes 60 miles an hour for 3 hours. How far does it get?"


def group_of(problem: str, *texts: str) -> Group:
    return make_group(texts, problem=make_problem("p", problem))


def make_filter(**settings: Any) -> Decontamination:
    benchmarks = {"dev": [make_problem("d0", DEV)], "test": [make_problem("t0", TEST)]}
    context = FilterContext(problems={}, benchmarks=benchmarks)
    return Decontamination(DecontaminationConfig(**settings), context)


def reasons(marks: Sequence[Mark]) -> list[str]:
    return [mark.reason for mark in marks]


def test_clean_groups_pass_and_a_completion_that_holds_a_problem_does_not() -> None:
    rule = make_filter()
    assert isinstance(rule, GroupFilter)
    group = group_of(TRAIN, "60 * 3 = 180", f"A new one: {TEST.upper()} 126", "")
    clean, dirty, empty = rule.mark_group(group)
    assert clean == Mark(True, "clean", 0.0)
    assert dirty == Mark(False, "contaminated_completion", 1.0, "test t0")
    assert empty.accepted


def test_a_benchmarks_problem_condemns_its_whole_group() -> None:
    renumbered = DEV.replace("12", "twelve").replace("baker", "cook")
    marks = make_filter().mark_group(group_of(renumbered, "42", "43"))
    assert reasons(marks) == ["contaminated_problem"] * 2
    assert marks[0].note == "dev d0"
    assert marks[0].reward == pytest.approx(13 / 15)


def test_a_clean_completions_reward_is_the_highest_share_of_either_text() -> None:
    half = " ".join(TEST.split()[:8])
    marks = make_filter(threshold=0.9).mark_group(group_of(half, "126", TEST[20:60]))
    assert [mark.accepted for mark in marks] == [True, True]
    assert marks[0].reward == pytest.approx(4 / 14)
    assert marks[0].note is None


def test_only_the_texts_and_benchmarks_that_were_asked_for_are_looked_at() -> None:
    group = group_of(TEST, DEV)
    assert reasons(make_filter(check=("completion",)).mark_group(group)) == [
        "contaminated_completion"
    ]
    assert reasons(make_filter(against=("test",), check=("completion",)).mark_group(group)) == [
        "clean"
    ]
    assert reasons(make_filter(against=("dev",), check=("problem",)).mark_group(group)) == ["clean"]


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"\['tset'\].*\['dev', 'test'\]"):
        make_filter(against=("tset",))


def test_a_filter_without_benchmarks_is_refused() -> None:
    with pytest.raises(InputError, match="no benchmark problem"):
        Decontamination(DecontaminationConfig(), FilterContext(problems={}))


def test_benchmarks_that_were_not_loaded_are_never_called_clean() -> None:
    config = DecontaminationConfig.model_validate({"benchmarks": [{"kind": "math500"}]})
    context = FilterContext(problems={}, benchmarks={"dev": [make_problem("d0", DEV)]})
    with pytest.raises(InputError, match="names 1 benchmarks, and 0 were loaded"):
        Decontamination(config, context)


def test_further_benchmarks_are_sources() -> None:
    tables = {"kind": "decontamination", "benchmarks": [{"kind": "math500"}], "ngram": 6}
    config = parse_config(DecontaminationConfig, tables, "here")
    assert config.benchmarks[0].kind == "math500"
    with pytest.raises(InputError, match="threshold"):
        parse_config(DecontaminationConfig, {"threshold": 0}, "here")
