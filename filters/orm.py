"""The outcome filter: the one grader's decision on each completion."""

from __future__ import annotations

from collections.abc import Sequence

from ratchet.answer_audit import Audit
from ratchet.answers import Grader
from ratchet.grading import GradingRules
from ratchet.records import Completion, Problem, Verdict


class Orm:
    """Accepts a completion whose final answer equals the reference answer."""

    name = "orm"

    def __init__(self, grader: Grader, rules: GradingRules) -> None:
        self._grader = grader
        self._rules = rules
        self.audit = Audit()

    def judge(self, problem: Problem, group: Sequence[Completion]) -> list[Verdict]:
        """One verdict per completion; `reward` is 1, 0, or None where the grader can't say."""
        return [self._verdict(problem, completion) for completion in group]

    def _verdict(self, problem: Problem, completion: Completion) -> Verdict:
        if completion.finish_reason == "error":
            return self._rejected(completion, completion.error or "engine_error")
        text, finish_reason = completion.completion, completion.finish_reason
        grade = self._rules.grade(self._grader, problem, text, finish_reason)
        self.audit.add(problem.problem_id, problem.reference_answer, grade)
        return Verdict(
            problem_id=completion.problem_id,
            attempt=completion.attempt,
            filter=self.name,
            accepted=grade.correct is True,
            reason=grade.reason,
            reward=None if grade.correct is None else float(grade.correct),
            answer=grade.answer,
        )

    def _rejected(self, completion: Completion, reason: str) -> Verdict:
        return Verdict(
            problem_id=completion.problem_id,
            attempt=completion.attempt,
            filter=self.name,
            accepted=False,
            reason=reason,
        )
