"""Small rows for the tests of filters and selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from filters.base import FilterContext, Group, Mark
from ratchet.records import Completion, Problem, Verdict

CONTEXT = FilterContext(problems={})


def make_completion(text: str, attempt: int = 0, problem_id: str = "p", **more: Any) -> Completion:
    given: dict[str, Any] = {
        "iteration": 0,
        "prompt": "Q",
        "finish_reason": "stop",
        "num_prompt_tokens": 1,
        "num_tokens": len(text.split()),
        "logprob": None,
        "policy": "f",
        "sampler": "do_sample",
        "temperature": 1.0,
    }
    return Completion(problem_id=problem_id, attempt=attempt, completion=text, **{**given, **more})


def make_problem(problem_id: str = "p", problem: str = "?", answer: str = "1") -> Problem:
    return Problem(problem_id=problem_id, problem=problem, reference_answer=answer)


def make_group(
    texts: Sequence[str],
    *,
    problem: Problem | None = None,
    standing: Sequence[bool] | None = None,
    rewards: Sequence[float | None] | None = None,
    **more: Any,
) -> Group:
    """A group of these texts; `rewards` become the marks of a filter `orm`."""
    problem = problem or make_problem()
    completions = [
        make_completion(text, attempt, problem.problem_id, **more)
        for attempt, text in enumerate(texts)
    ]
    marks = {"orm": [Mark(r == 1, "made", r) for r in rewards]} if rewards is not None else {}
    return Group(problem, completions, marks, list(standing or [True] * len(texts)))


def make_verdicts(
    rewards: Sequence[float | None], problem_id: str = "p", name: str = "orm"
) -> list[Verdict]:
    return [
        Verdict(
            problem_id=problem_id,
            attempt=attempt,
            filter=name,
            accepted=reward == 1,
            reason="made",
            reward=reward,
        )
        for attempt, reward in enumerate(rewards)
    ]
