"""How the completions on one problem set are graded: the one way for filter and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ratchet.config import identity_settings
from ratchet.generation.engine import Output
from ratchet.problems.config import ProblemSource
from ratchet.records import FinishReason, Problem
from ratchet.store.identity import digest
from ratchet.verifier.grader import (
    DEFAULT_RULES,
    GRADER_VERSION,
    AnswerFormat,
    AnswerRules,
    Grade,
    Grader,
)


class Ended(Protocol):
    """A completion's text and how it ended: a row, or what an engine made."""

    @property
    def completion(self) -> str: ...

    @property
    def finish_reason(self) -> FinishReason: ...


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
        self, grader: Grader, problem: Problem, completions: Sequence[Ended]
    ) -> list[Grade]:
        """The verdicts on completions of `problem`, in order."""
        return [
            self.grade(grader, problem, each.completion, each.finish_reason) for each in completions
        ]

    def key(self, problems_fingerprint: str) -> str:
        """What the grades of these problems' completions hang on, beside the completions."""
        return digest({"rules": self.identity(), "problems": problems_fingerprint})


@dataclass(frozen=True)
class OutcomeScorer:
    """Grades beside sampling by the one grader: a `GroupScorer` for one problem set."""

    grader: Grader
    rules: GradingRules
    problems_fingerprint: str

    @property
    def key(self) -> str:
        return self.rules.key(self.problems_fingerprint)

    def score(self, problem: Problem, outputs: Sequence[Output]) -> list[Grade | None]:
        """A grade for each; where the engine made no completion there is nothing to grade."""
        return [
            None
            if output.finish_reason == "error"
            else self.rules.grade(self.grader, problem, output.completion, output.finish_reason)
            for output in outputs
        ]
