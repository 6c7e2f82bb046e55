"""Recorded completions, scored as an evaluation would be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.standalone.recorded import RecordedColumns, score_recorded
from ratchet.errors import InputError
from ratchet.verifier.grader import DEFAULT_RULES

Rows = Sequence[dict[str, Any]]


def score(file: Path, language: str = "", **columns: str | None) -> dict[str, dict[str, Any]]:
    given = RecordedColumns(**{"completion": "text", "reference": "gold", **columns})
    return score_recorded(file, given, "auto", DEFAULT_RULES, language)


def write(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two models' completions of two problems that have one reference."""
    texts = {
        ("a", "x"): ["A: 7", "A: 8"],
        ("a", "y"): ["A: 7", "A: 7"],
        ("b", "x"): ["A: 8", "A: 8"],
        ("b", "y"): ["A: 7", "Let us see where to begin."],
    }
    rows = [
        {"model": model, "id": problem, "question": f"{problem}?", "text": text, "gold": "7"}
        for (model, problem), group in texts.items()
        for text in group
    ]
    return write(tmp_path / "recorded.jsonl", rows)


def test_each_model_s_accuracy_is_exactly_the_labels(shared_data: Path) -> None:
    source = shared_data / "example_model_solutions.parquet"
    labels: dict[str, list[bool]] = {}
    for row in pq.read_table(source, columns=["model", "is_correct"]).to_pylist():
        labels.setdefault(row["model"], []).append(row["is_correct"])
    scored = score(source, completion="solution", by="model", problem_id="question_id")
    assert len(labels) == 4
    assert {name: metrics["mean"] for name, metrics in scored.items()} == {
        name: sum(right) / len(right) for name, right in labels.items()
    }
    assert all(metrics["low"] < metrics["mean"] < metrics["high"] for metrics in scored.values())
    assert {(metrics["n"], metrics["k"]) for metrics in scored.values()} == {(1319, 1)}


@pytest.mark.parametrize("columns", [{"problem_id": "id"}, {"problem": "question"}])
def test_completions_of_a_problem_belong_together(file: Path, columns: dict[str, str]) -> None:
    scored = score(file, by="model", **columns)
    assert [(name, metrics["mean"], metrics["n"]) for name, metrics in scored.items()] == [
        ("a", 0.75, 2),
        ("b", 0.25, 2),
    ]
    assert scored["a"]["pass_at_k"]["2"]["mean"] == 1.0
    assert scored["b"]["no_answer"]["mean"] == 0.25


def test_a_reference_alone_makes_no_problem(file: Path) -> None:
    """Both problems' answer is 7; taken as one problem they would be 8 completions of it."""
    metrics = score(file)["all"]
    assert (metrics["n"], metrics["k"], metrics["mean"]) == (8, 1, 0.5)


def test_what_hangs_on_tokens_is_not_told(file: Path) -> None:
    assert score(file)["all"].keys().isdisjoint({"tokens", "length"})


def test_a_finish_reason_tells_a_cut_and_a_failed_completion(tmp_path: Path) -> None:
    rows = [
        {"text": "and then we", "gold": "7", "end": "length"},
        {"text": "", "gold": "7", "end": "error"},
        {"text": "A: 7", "gold": "7", "end": "stop"},
    ]
    metrics = score(write(tmp_path / "cut.jsonl", rows), finish_reason="end")["all"]
    assert metrics["reasons"] == {"truncated": 1, "engine_error": 1, "equal_string": 1}
    assert (metrics["mean"], metrics["unscored"]) == (0.5, 1)


def test_the_language_is_that_of_the_texts(tmp_path: Path) -> None:
    texts = ["Wir addieren die beiden Zahlen. A: 7", "We add the two numbers up. A: 7"]
    file = write(tmp_path / "two.jsonl", [{"text": text, "gold": "7"} for text in texts])
    assert score(file, language="de")["all"]["language"]["mean"] == 0.5
    with pytest.raises(InputError, match=r"(?s)--language.*did you mean 'de'"):
        score(file, language="german")


def test_input_that_cannot_be_scored_is_refused_in_words(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column who; its columns are: model, id"):
        score(file, by="who")
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(InputError, match="has no rows, so there is nothing to score"):
        score(empty)
    with pytest.raises(InputError, match="no file"):
        score(tmp_path / "none.parquet")
    rows = [{"text": "A: 7", "gold": "7", "id": "x"}, {"text": "A: 7", "gold": "7", "id": None}]
    with pytest.raises(InputError, match="row 2: id is empty"):
        score(write(tmp_path / "ids.jsonl", rows), problem_id="id")
