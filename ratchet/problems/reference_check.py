"""Gold first: reference answers go through the verifier before a token is spent on sampling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ratchet.records import Problem
from ratchet.verifier.compare.limits import refusal
from ratchet.verifier.find.references import bare_reference
from ratchet.verifier.grader import DEFAULT_RULES, AnswerFormat, AnswerRules, Grader

GoldReason = Literal[
    "reference_empty",
    "reference_is_null",
    "reference_too_large",
    "reference_is_prose",
    "solution_disagrees",
]
NULLS = frozenset(["nan", "<na>", "nat", "null"])
"""How tables write a missing value as text, in lower case."""
MAX_WORDS = 12
"""Words of a reference answer that a model may still be expected to give as they stand."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A problem that cannot be graded, and why: a stable code, and what was seen."""

    problem_id: str
    reason: GoldReason
    seen: str


def check_gold(
    problems: Iterable[Problem],
    grader: Grader,
    answer_format: AnswerFormat = "auto",
    policy: AnswerRules = DEFAULT_RULES,
) -> tuple[list[Problem], list[SetAside]]:
    """The problems that can be graded, and those that cannot.

    A solution is read in the source's `answer_format`, and where that finds nothing by all rules;
    one that states no answer says nothing against its problem.
    """
    kept: list[Problem] = []
    set_aside: list[SetAside] = []
    for problem in problems:
        found = _check(problem, grader, answer_format, policy)
        set_aside.append(found) if found else kept.append(problem)
    return kept, set_aside


def gold_metrics(set_aside: Iterable[SetAside]) -> dict[str, int]:
    """Counts of the reasons, for a manifest."""
    return dict(Counter(problem.reason for problem in set_aside))


def _check(
    problem: Problem, grader: Grader, answer_format: AnswerFormat, policy: AnswerRules
) -> SetAside | None:
    reference = bare_reference(problem.reference_answer).strip()
    if not reference or not grader.compare(reference, reference, policy).startswith("equal"):
        return SetAside(problem.problem_id, "reference_empty", problem.reference_answer[:200])
    if reference.lower() in NULLS:
        return SetAside(problem.problem_id, "reference_is_null", reference)
    if why := refusal(reference):
        return SetAside(problem.problem_id, "reference_too_large", why)
    if len(reference.split()) > MAX_WORDS and reference.replace(" ", "").isalpha():
        return SetAside(problem.problem_id, "reference_is_prose", reference[:200])
    return _check_solution(problem, grader, answer_format, policy)


def _check_solution(
    problem: Problem, grader: Grader, answer_format: AnswerFormat, policy: AnswerRules
) -> SetAside | None:
    if not problem.solution:
        return None
    lenient = policy.model_copy(
        update={"min_reasoning_chars": 0, "several_answers": "last", "unevaluated": "accept"}
    )
    formats: list[AnswerFormat] = [answer_format, "auto"]
    for chosen in dict.fromkeys(formats):
        grade = grader.grade(
            problem.solution, problem.reference_answer, answer_format=chosen, policy=lenient
        )
        if grade.correct:
            return None
    if grade.reason == "no_answer":
        return None
    return SetAside(problem.problem_id, "solution_disagrees", f"{grade.answer}: {grade.reason}")
