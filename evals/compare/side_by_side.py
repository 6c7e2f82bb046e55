"""The same problems answered by base, incumbent and candidate, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ratchet.records import EvalRow
from ratchet.store.artifacts import Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySideRow:
    """One dev problem's first completion by each policy; `..._correct` is None where the grader
    could not say. The incumbent is the base model until a candidate was promoted."""

    SCHEMA: ClassVar[str] = "side_by_side/1"

    problem_id: str
    base: str
    base_correct: bool | None
    incumbent: str
    incumbent_correct: bool | None
    candidate: str
    candidate_correct: bool | None


def side_by_side(
    base: Artifact, incumbent: Artifact, candidate: Artifact
) -> Iterator[SideBySideRow]:
    """The problems that all three answered, in the candidate's order."""
    before, held = _first_rows(base), _first_rows(incumbent)
    for row in candidate.rows(EvalRow):
        one, other = before.get(row.problem_id), held.get(row.problem_id)
        if row.attempt == 0 and one and other:
            yield SideBySideRow(
                problem_id=row.problem_id,
                base=one.completion,
                base_correct=one.correct,
                incumbent=other.completion,
                incumbent_correct=other.correct,
                candidate=row.completion,
                candidate_correct=row.correct,
            )


def _first_rows(evaluation: Artifact) -> Mapping[str, EvalRow]:
    return {row.problem_id: row for row in evaluation.rows(EvalRow) if row.attempt == 0}
