"""The metrics of an eval artifact."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from evals.config import EvalConfig
from evals.metrics.intervals import bootstrap_interval, wilson_interval
from evals.summary import summarize
from ratchet.generation.engine import PROMPT_TOO_LONG
from ratchet.records import EvalRow
from tests.helpers.graded import dead, make_row

CONFIG = EvalConfig()


def rows_of(groups: list[list[bool | None]]) -> list[EvalRow]:
    """Problems, each given by its completions' verdicts."""
    return [make_row(verdict, f"p{i}") for i, group in enumerate(groups) for verdict in group]


def test_the_mean_is_over_problems_by_level_and_by_subject() -> None:
    rows = [
        make_row(True, "a", level=1, subject="algebra"),
        make_row(False, "a", level=1, subject="algebra"),
        make_row(True, "b", level=2, subject="geometry"),
        make_row(True, "b", level=2, subject="geometry"),
        make_row(False, "c"),
        make_row(False, "c"),
    ]
    summary = summarize(rows, CONFIG)
    assert (summary["mean"], summary["n"], summary["k"]) == (0.5, 3, 2)
    assert summary["low"] <= 0.5 <= summary["high"]
    assert {level: at["mean"] for level, at in summary["by_level"].items()} == {"1": 0.5, "2": 1.0}
    assert summary["by_subject"]["geometry"]["n"] == 1
    assert summary["by_level"]["1"] == {"mean": 0.5, "low": 0.0, "high": 1.0, "n": 1}


def test_what_has_no_verdict_widens_the_interval_and_is_no_zero() -> None:
    """It once vanished: of 5 right, 3 wrong and 2 timed out, 62.5 % were reported."""
    summary = summarize(rows_of([[True]] * 5 + [[False]] * 3 + [[None]] * 2), CONFIG)
    assert (summary["mean"], summary["n"], summary["unscored"]) == (0.6, 10, 2)
    assert summary["low"] == wilson_interval(5, 10).low
    assert summary["high"] == wilson_interval(7, 10).high


def test_several_completions_get_a_bootstrap_over_problems() -> None:
    groups: list[list[bool | None]] = [[True, False]] * 20 + [[True, True]] * 20
    summary = summarize(rows_of(groups), EvalConfig(confidence=0.9))
    expected = bootstrap_interval([0.5] * 20 + [1.0] * 20, seed=0, confidence=0.9)
    assert (summary["low"], summary["high"]) == (expected.low, expected.high)


def test_nothing_graded_is_a_broken_grader_and_not_an_accuracy_of_zero() -> None:
    summary = summarize([make_row(None), dead()], CONFIG)
    assert (summary["state"], summary["mean"], summary["unscored"]) == ("grader_broken", None, 2)
    assert summary["pass_at_k"]["2"]["mean"] is None
    assert summary["length"]["mean"] == 5


def test_an_empty_benchmark_has_no_mean_and_no_broken_grader() -> None:
    for rows in ([], [dead(PROMPT_TOO_LONG)]):
        summary = summarize(rows, CONFIG)
        assert (summary["state"], summary["mean"], summary["n"], summary["k"]) == ("ok", None, 0, 0)


def test_a_prompt_without_room_is_in_no_figure() -> None:
    never = replace(dead(PROMPT_TOO_LONG), problem_id="long")
    summary = summarize([make_row(True), never], CONFIG)
    assert (summary["mean"], summary["n"], summary["unscored"]) == (1.0, 1, 1)
    assert summary["reasons"] == {"equal_string": 1, PROMPT_TOO_LONG: 1}


def test_pass_at_k_has_each_power_of_two_and_voting_all_completions() -> None:
    summary = summarize(rows_of([[True, False, False, False, False], [False] * 5]), CONFIG)
    passed = {k: figure["mean"] for k, figure in summary["pass_at_k"].items()}
    assert passed == pytest.approx({"1": 0.1, "2": 0.2, "4": 0.4})
    assert summary["maj_at_k"]["mean"] == 0.0
    assert "best_of_k" not in summary
    assert "language" not in summary


def test_groups_of_different_size_are_compared_at_the_smallest() -> None:
    summary = summarize(rows_of([[True] * 2, [False, True, True, True]]), CONFIG)
    assert (summary["k"], set(summary["pass_at_k"])) == (2, {"1", "2"})
    assert summary["maj_at_k"]["mean"] == 0.75


def test_best_of_k_takes_the_likeliest_per_token() -> None:
    """Of two, the longer: less likely as a whole, likelier per token."""
    long = make_row(True, num_tokens=100, logprob=-10.0)
    short = make_row(False, num_tokens=10, logprob=-5.0)
    assert summarize([long, short], CONFIG)["best_of_k"]["mean"] == 1.0
    assert summarize([long, short, dead()], CONFIG)["best_of_k"]["mean"] == 1.0
    assert "best_of_k" not in summarize([long, replace(short, logprob=None)], CONFIG)


def test_length_has_a_t_interval_over_problems() -> None:
    rows = [make_row(True, f"p{i}", num_tokens=i) for i in range(1, 11)]
    length = summarize(rows, CONFIG)["length"]
    half = 2.262157 * (55 / 6) ** 0.5 / 10**0.5  # the quantile of 9 degrees, from a printed table
    assert (length["low"], length["high"]) == pytest.approx((5.5 - half, 5.5 + half))
    assert summarize(rows[:1], CONFIG)["length"] == {"mean": 1, "low": None, "high": None, "n": 1}


def test_the_share_in_the_language_is_told_where_one_is_set() -> None:
    german, english = "Zuerst addieren wir die beiden Zahlen.", "First we add the two numbers up."
    rows = [make_row(True, text, completion=text) for text in (german, english, "4 = 4")]
    language = summarize(rows, EvalConfig(language="de"))["language"]
    assert (language["mean"], language["n"]) == (0.5, 2)


def test_memory_does_not_grow_with_the_texts() -> None:
    summarize(rows_of([[True], [False]]), CONFIG)  # SciPy is imported
    rows = (make_row(False, f"p{i}", completion=chr(97 + i % 9) * 1_000_000) for i in range(40))
    tracemalloc.start()
    summarize(rows, CONFIG)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000
