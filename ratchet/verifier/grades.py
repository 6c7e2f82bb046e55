"""What the grader is asked and what it answers: tasks, grades, and the reasons of a grade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ratchet.verifier.compare.tiers import PlainReason, Tier
from ratchet.verifier.find.extraction import AnswerFormat, Rule
from ratchet.verifier.guards import GuardReason
from ratchet.verifier.rules import DEFAULT_RULES, AnswerRules

Failure = Literal["timeout", "memory", "grader_error", "reference_missing"]
Reason = (
    PlainReason
    | GuardReason
    | Failure
    | Literal["equal_symbolic", "too_large", "no_answer", "truncated"]
)
FAILURES: frozenset[str] = frozenset(get_args(Failure))


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one completion. `correct` is None where the grader could not say.

    `rule` found the answer and `tier` compared it (None where nothing did). `disagreed` where the
    symbolic comparison and its numeric second came to different ends; numbers had the last word.
    """

    answer: str | None
    correct: bool | None
    reason: Reason
    rule: Rule | None = None
    tier: Tier | None = None
    disagreed: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """How an answer stands to a reference."""

    reason: Reason
    tier: Tier | None = None
    disagreed: bool = False


@dataclass(frozen=True, slots=True)
class GradingTask:
    """One completion to grade against its problem's reference answer."""

    completion: str
    reference_answer: str
    finish_reason: str = "stop"
    answer_format: AnswerFormat = "auto"
    problem: str | None = None
    policy: AnswerRules = DEFAULT_RULES
