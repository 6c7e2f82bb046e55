"""Grades are handed on once, change no verdict, and are found again where they are missing."""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import ratchet.verifier.grader as grading
from ratchet.verifier import grade_book
from ratchet.verifier.grader import Grader, GradingTask

TEXTS = [r"\boxed{18}", "no idea", r"\boxed{\frac{36}{2}}", r"\boxed{\sqrt{324}}", "A: \ud800"]
TASKS = [GradingTask(text, "18", problem="?") for text in TEXTS]


@pytest.fixture
def grader() -> Iterator[Grader]:
    with Grader(workers=1) as grader:
        yield grader


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The completions that were read for their answer."""
    seen: list[str] = []
    extract = grading.extract_answer

    def extracting(text: str, *more: Any) -> Any:
        seen.append(text)
        return extract(text, *more)

    monkeypatch.setattr(grading, "extract_answer", extracting)
    return seen


def test_who_asks_next_for_a_group_finds_it_graded(grader: Grader, read: list[str]) -> None:
    first = grader.grade_group(TASKS, hand_on=True)
    assert first == [grader.grade(task.completion, "18", problem="?") for task in TASKS]
    read.clear()
    assert grader.grade_group(TASKS) == first
    assert read == []


def test_each_group_is_handed_on_once_and_then_forgotten(grader: Grader, read: list[str]) -> None:
    groups = [[replace(task, reference_answer=str(n)) for task in TASKS] for n in range(50)]
    first = [grader.grade_group(group, hand_on=True) for group in groups]
    assert [grader.grade_group(group) for group in reversed(groups)] == first[::-1]
    assert grader._book._places == {}
    assert grader._book._file is not None
    assert os.fstat(grader._book._file.fileno()).st_size == 0
    read.clear()
    assert grader.grade_group(groups[0]) == first[0]
    assert read == TEXTS


@pytest.mark.parametrize(
    "change",
    [
        {"completion": r"\boxed{19}"},
        {"reference_answer": "19"},
        {"finish_reason": "length"},
        {"answer_format": "boxed"},
        {"problem": "What?"},
        {"policy": grading.Policy(unevaluated="accept")},
    ],
)
def test_a_group_that_differs_in_anything_is_graded_itself(
    grader: Grader, read: list[str], change: dict[str, Any]
) -> None:
    grader.grade_group(TASKS, hand_on=True)
    read.clear()
    grader.grade_group([replace(TASKS[0], **change), *TASKS[1:]])
    assert len(read) == len(TASKS)


def test_a_full_disk_hands_nothing_on_and_loses_nothing(
    grader: Grader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(grade_book.os, "pwrite", full)
        first = grader.grade_group(TASKS, hand_on=True)
    assert grader._book._places == {}
    assert grader.grade_group(TASKS) == first
