"""Rows gathered by problem, and one problem's value of each metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pydantic import ValidationError

from evals.attempts import MAX_ANSWER, Bounds, ProblemAttempts, gather, measure
from evals.config import EvalConfig, Metric
from ratchet.generation.engine import PROMPT_TOO_LONG
from ratchet.records import EvalRow
from tests.helpers.graded import dead, make_row


def problem_of(*rows: EvalRow, language: str = "") -> ProblemAttempts:
    (problem,) = gather(rows, language).values()
    return problem


def value(rows: Sequence[EvalRow], metric: Metric, k: int | None = None) -> tuple[float, float]:
    bounds = measure(problem_of(*rows), metric, k)
    assert bounds
    return bounds.low, bounds.high


RIGHT, WRONG, UNKNOWN = (make_row(verdict) for verdict in (True, False, None))


def test_rows_of_several_looks_are_one_problem_s_attempts() -> None:
    first = [make_row(True, "a", level=3, subject="algebra"), make_row(False, "b")]
    second = [make_row(None, "a"), make_row(False, "a")]
    problems = gather([*first, *second])
    assert list(problems) == ["a", "b"]
    a = problems["a"]
    assert (a.level, a.subject, a.correct) == (3, "algebra", [True, None, False])
    assert (a.unscored, a.lowest, a.highest) == (1, 1 / 3, 2 / 3)


def test_texts_and_long_answers_are_not_kept() -> None:
    problem = problem_of(make_row(False, completion="x" * 9_999, answer="y" * 9_999))
    assert len(str(problem)) < MAX_ANSWER + 300


def test_what_has_no_verdict_is_counted_both_ways() -> None:
    rows = [RIGHT, WRONG, UNKNOWN, dead()]
    assert value(rows, "accuracy") == (0.25, 0.75)
    assert value(rows, "pass_at_k", 2) == (0.5, pytest.approx(1.0))
    assert value([WRONG, UNKNOWN], "pass_at_k") == (0.0, 1.0)
    assert value([RIGHT, WRONG, WRONG, dead()], "maj_at_k") == (0.0, 0.5)


def test_a_problem_that_was_never_asked_says_nothing() -> None:
    never = [dead(PROMPT_TOO_LONG)] * 2
    assert not problem_of(*never).was_asked
    assert measure(problem_of(*never), "accuracy") is None
    assert problem_of(dead(), *never).was_asked


def test_voters_agree_by_number_not_by_spelling() -> None:
    halves = [make_row(False, answer=text) for text in ("0.5", r"\frac{1}{2}")]
    assert value([*halves, RIGHT], "maj_at_k") == (0.0, 0.0)
    sevens = [make_row(True, answer=text) for text in ("7", "seven")]
    assert value([*halves, *sevens], "maj_at_k") == (0.5, 0.5)


def test_a_cut_completion_is_not_one_without_an_answer() -> None:
    cut = make_row(False, answer=None, reason="truncated", finish_reason="length")
    silent = replace(cut, reason="no_answer", finish_reason="stop")
    rows = [cut, silent, RIGHT, UNKNOWN]
    assert value(rows, "truncated") == (0.25, 0.25)
    assert value(rows, "no_answer") == (0.25, 0.25)
    assert value([cut, dead()], "truncated") == (0.5, 1.0)


def test_length_is_of_what_was_made() -> None:
    rows = [replace(RIGHT, num_tokens=10), replace(UNKNOWN, num_tokens=20), dead()]
    assert value(rows, "length") == (15.0, 15.0)
    assert measure(problem_of(dead()), "length") is None


def test_language_is_of_what_can_be_judged() -> None:
    texts = ["Zuerst addieren wir die beiden Zahlen.", "First we add the two numbers up.", "4 = 4"]
    problem = problem_of(*(make_row(True, completion=text) for text in texts), language="de")
    assert [attempt.in_language for attempt in problem.attempts] == [True, False, None]
    assert measure(problem, "language") == Bounds(0.5, 0.5)
    assert measure(problem_of(RIGHT), "language") is None


def test_a_language_that_nobody_knows_is_a_config_error() -> None:
    with pytest.raises(ValidationError, match="did you mean 'de'"):
        EvalConfig(language="german")
    assert EvalConfig(language="de").language == "de"


def test_more_than_there_are_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="k=4 of a group of 2"):
        value([RIGHT, WRONG], "pass_at_k", 4)
