"""How the completions on one problem set are graded: the one way for filter and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.config import identity_settings
from ratchet.problems.config import ProblemSource
from ratchet.records import Completion, FinishReason, Problem
from ratchet.verifier.grader import (
    DEFAULT_RULES,
    GRADER_VERSION,
    AnswerFormat,
    AnswerRules,
    Grade,
    Grader,
    GradingTask,
)


@dataclass(frozen=True)
class GradingRules:
    """A problem source's answer format and its policy on what counts as equal."""

    answer_format: AnswerFormat = "auto"
    policy: AnswerRules = DEFAULT_RULES

    @classmethod
    def of(cls, source: ProblemSource) -> GradingRules:
        return cls(source.answer_format, source.policy)

    def identity(self) -> dict[str, Any]:
        """What can change a verdict: the one place that tells the grader's version.

        It is in the identity of all that grades: problem sets, filters, evaluations, GRPO.
        """
        return {
            "answer_format": self.answer_format,
            "policy": identity_settings(self.policy),
            "grader": GRADER_VERSION,
        }

    def grade(
        self, grader: Grader, problem: Problem, completion: str, finish_reason: FinishReason
    ) -> Grade:
        """The verdict on one completion of `problem`."""
        return grader.grade(
            completion,
            problem.reference_answer,
            finish_reason,
            self.answer_format,
            problem=problem.problem,
            policy=self.policy,
        )

    def grade_group(
        self,
        grader: Grader,
        problem: Problem,
        completions: Sequence[Completion],
        *,
        hand_on: bool = False,
    ) -> list[Grade]:
        """The verdicts on completions of `problem`; `hand_on` as in `Grader.grade_group`."""
        tasks = [
            GradingTask(
                completion.completion,
                problem.reference_answer,
                completion.finish_reason,
                self.answer_format,
                problem.problem,
                self.policy,
            )
            for completion in completions
        ]
        return grader.grade_group(tasks, hand_on=hand_on)
