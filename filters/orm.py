"""The outcome filter: the one grader's decision on each completion."""

from __future__ import annotations

from typing import Literal

from filters.base import FilterBase, Mark
from ratchet.answer_audit import Audit
from ratchet.answers import Grader
from ratchet.grading import GradingRules
from ratchet.records import Completion, Problem


class OrmConfig(FilterBase):
    """Outcome reward: is the final answer equal to the reference answer?"""

    kind: Literal["orm"] = "orm"


class Orm:
    """Accepts a completion whose final answer equals the reference answer."""

    def __init__(self, grader: Grader, rules: GradingRules) -> None:
        self._grader = grader
        self._rules = rules
        self.audit = Audit()

    def mark(self, problem: Problem, completion: Completion) -> Mark:
        """One completion's mark; the reward is 1, 0, or None where the grader can't say."""
        text, finish_reason = completion.completion, completion.finish_reason
        grade = self._rules.grade(self._grader, problem, text, finish_reason)
        self.audit.add(problem.problem_id, problem.reference_answer, grade)
        return Mark(
            accepted=grade.correct is True,
            reason=grade.reason,
            reward=None if grade.correct is None else float(grade.correct),
            answer=grade.answer,
        )
