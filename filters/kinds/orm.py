"""The outcome filter: the one grader's decision on each completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from filters.base import FilterBase, Group, Mark
from ratchet.problems.grading import GradingRules
from ratchet.records import Problem
from ratchet.verifier.audit import Audit
from ratchet.verifier.grader import Grade, Grader


class OrmConfig(FilterBase):
    """Outcome reward: is the final answer equal to the reference answer?"""

    kind: Literal["orm"] = "orm"


class Orm:
    """Accepts a completion whose final answer equals the reference answer."""

    def __init__(self, grader: Grader, rules: GradingRules) -> None:
        self._grader = grader
        self._rules = rules
        self.audit = Audit()

    def mark_group(self, group: Group) -> list[Mark]:
        """One mark per completion; the reward is 1, 0, or None where the grader can't say."""
        grades = self._rules.grade_group(self._grader, group.problem, group.completions)
        return self.marks_of(group.problem, grades)

    def marks_of(self, problem: Problem, grades: Sequence[Grade]) -> list[Mark]:
        """The marks of completions that are graded already."""
        return [self._mark(problem, grade) for grade in grades]

    def _mark(self, problem: Problem, grade: Grade) -> Mark:
        self.audit.add(problem.problem_id, problem.reference_answer, grade)
        return Mark(
            accepted=grade.correct is True,
            reason=grade.reason,
            reward=None if grade.correct is None else float(grade.correct),
            answer=grade.answer,
        )
