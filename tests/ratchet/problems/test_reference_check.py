"""Reference answers that cannot be graded are set aside before a token is spent."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet.errors import InputError
from ratchet.problems.load import Columns, FileSource
from ratchet.problems.reference_check import check_gold
from ratchet.problems.sets import load_set
from ratchet.records import Problem
from ratchet.store.artifacts import Store
from ratchet.verifier.grader import Grader


@pytest.mark.parametrize("reference", ["nan", "NaN", "<NA>", "NaT", "null"])
def test_a_missing_value_written_as_text_is_no_answer(reference: str) -> None:
    problem = Problem(problem_id="p", problem="?", reference_answer=reference)
    with Grader() as grader:
        kept, (aside,) = check_gold([problem], grader)
    assert kept == []
    assert (aside.reason, aside.seen) == ("reference_is_null", reference)


def test_none_may_be_an_answer() -> None:
    problem = Problem(problem_id="p", problem="Which of them?", reference_answer="None")
    with Grader() as grader:
        assert check_gold([problem], grader) == ([problem], [])


def test_a_sets_manifest_counts_what_was_set_aside(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("problem,answer\n1+1?,2\n2+2?,nan\n3+3?,\n")
    source = FileSource(path=str(tmp_path / "a.csv"), columns=Columns(reference_answer="answer"))
    loaded = load_set(Store(tmp_path / "store"), "train", source)
    assert [problem.reference_answer for problem in loaded.problems] == ["2"]
    assert loaded.artifact.metrics["set_aside"] == {"reference_is_null": 1}
    assert loaded.artifact.metrics["skipped"] == {"no_answer": 1}


def test_a_set_with_no_answer_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("problem,answer\n1+1?,nan\n2+2?,NaN\n")
    source = FileSource(path=str(tmp_path / "a.csv"), columns=Columns(reference_answer="answer"))
    with pytest.raises(InputError, match="reference_is_null"):
        load_set(Store(tmp_path / "store"), "train", source)
