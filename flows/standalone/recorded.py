"""Scores recorded completions: the backend of `ratchet eval --completions`.

A file's rows are graded by the one grader, and become the rows that an eval stage writes, so that
the figures are those of any evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from evals.attempts import gather_by
from evals.config import EvalConfig
from evals.summary import metrics_of
from ratchet.config import parse_config
from ratchet.errors import InputError
from ratchet.records import EvalRow, FinishReason
from ratchet.store.identity import digest
from ratchet.verifier.file import VerifyColumns, VerifySettings, grade_tables, texts_of
from ratchet.verifier.grader import AnswerFormat, AnswerRules, Grade, GradingTask

UNTOLD = ("tokens", "length")
"""Metrics of evaluations that a file of texts has nothing to say on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedColumns:
    """The names of the file's columns; None where it has none.

    `by` names who made a completion: each is scored apart. Completions of one `problem_id` are of
    one problem; without that column those of one `problem` text and reference are, and where there
    is no text either, each row is a problem of its own (a reference alone is shared by many).
    """

    completion: str
    reference: str
    by: str | None = None
    problem_id: str | None = None
    finish_reason: str | None = None
    problem: str | None = None


def score_recorded(
    file: Path,
    columns: RecordedColumns,
    answer_format: AnswerFormat,
    policy: AnswerRules,
    language: str = "",
) -> dict[str, dict[str, Any]]:
    """The metrics of each group of a Parquet, JSONL or CSV file: {group: metrics}.

    Groups are sorted by name; without a `by` column there is one, "all". What is told is what
    `evals.summary.metrics_of` tells, but for what hangs on tokens. A row whose finish_reason is
    "error" holds no completion, and has no verdict.

    Raises:
        InputError: if the file is missing, of no known kind, unreadable or empty, lacks a column
            or an id, or the language is not known.
    """
    config = parse_config(EvalConfig, {"language": language}, "--language")
    groups = gather_by(
        lambda row: row.benchmark, _rows(file, columns, answer_format, policy), language
    )
    if not groups:
        raise InputError(f"{file} has no rows, so there is nothing to score")
    return {
        name: {
            metric: value
            for metric, value in metrics_of(groups[name], config).items()
            if metric not in UNTOLD
        }
        for name in sorted(groups)
    }


def _rows(
    file: Path, columns: RecordedColumns, answer_format: AnswerFormat, policy: AnswerRules
) -> Iterator[EvalRow]:
    """The file's rows as an eval stage would have written them; the group is the benchmark."""
    settings = VerifySettings(
        columns=VerifyColumns(
            completion=columns.completion,
            reference=columns.reference,
            finish_reason=columns.finish_reason,
            problem=columns.problem,
        ),
        answer_format=answer_format,
        policy=policy,
    )
    others = [name for name in (columns.by, columns.problem_id) if name is not None]
    done = 0
    for table, tasks, grades in grade_tables(file, settings, others):
        groups = _groups(table, columns)
        ids = _problem_ids(file, table, columns, tasks, done)
        for group, problem_id, task, grade in zip(groups, ids, tasks, grades, strict=True):
            yield _row(group, problem_id, task, grade)
        done += len(tasks)


def _groups(table: pa.Table, columns: RecordedColumns) -> list[str]:
    if columns.by is None:
        return ["all"] * table.num_rows
    return ["(none)" if name is None else name for name in texts_of(table, columns.by)]


def _problem_ids(
    file: Path, table: pa.Table, columns: RecordedColumns, tasks: list[GradingTask], done: int
) -> list[str]:
    named_by = columns.problem_id or columns.problem
    if named_by is None:
        return [str(number) for number in range(done, done + len(tasks))]
    names: list[str] = []
    for number, name in enumerate(texts_of(table, named_by), start=done + 1):
        if name is None:
            raise InputError(
                f"{file}, row {number}: {named_by} is empty, so that its completion belongs to no "
                "problem; fill it in, or leave the row out"
            )
        names.append(name)
    if columns.problem_id is not None:
        return names
    return [digest([task.problem, task.reference_answer]) for task in tasks]


def _row(group: str, problem_id: str, task: GradingTask, grade: Grade) -> EvalRow:
    failed = task.finish_reason == "error"
    reason: FinishReason = "length" if task.finish_reason == "length" else "stop"
    return EvalRow(
        benchmark=group,
        problem_id=problem_id,
        attempt=0,
        completion=task.completion,
        answer=None if failed else grade.answer,
        correct=None if failed else grade.correct,
        reason="engine_error" if failed else grade.reason,
        finish_reason="error" if failed else reason,
        num_tokens=0,
    )
