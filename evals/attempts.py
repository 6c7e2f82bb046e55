"""Graded completions by problem, without their texts, and one problem's value of each metric.

One rule for a completion that has no verdict: what depends on it is given twice, as if it were
wrong and as if it were right. A problem whose prompt had no room in the engine says nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evals.config import Metric
from evals.metrics.estimators import Bounds, best_of_k, both_ways, maj_at_k, mean, pass_at_k
from ratchet.generation.engine import PROMPT_TOO_LONG
from ratchet.records import EvalRow
from ratchet.texts.language.judge import LanguageJudge
from ratchet.verifier.compare.forms import form_of

MAX_ANSWER = 500
"""Characters kept of an answer: enough to tell two apart."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is kept of one completion.

    `correct` is None where there is no verdict. `logprob` is the sum over its tokens, in nats.
    `in_language` is None where nobody asked, or the text is too short to judge.
    """

    correct: bool | None
    answer: str | None
    reason: str
    finish_reason: str
    num_tokens: int
    logprob: float | None = None
    in_language: bool | None = None

    @property
    def is_known(self) -> bool:
        """Whether there is a completion that the grader could look at for an answer."""
        return self.correct is not None or self.answer is not None

    @property
    def was_made(self) -> bool:
        """Whether the engine made a completion at all."""
        return self.finish_reason != "error"


@dataclass(slots=True)
class ProblemAttempts:
    """One problem's completions, in the order of their rows."""

    level: int | None = None
    subject: str | None = None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def too_long(self) -> int:
        """Attempts never drawn, as the engine had no room for the prompt."""
        return sum(attempt.reason == PROMPT_TOO_LONG for attempt in self.attempts)

    @property
    def was_asked(self) -> bool:
        return self.too_long < len(self.attempts)

    @property
    def correct(self) -> list[bool | None]:
        return [attempt.correct for attempt in self.attempts]

    @property
    def unscored(self) -> int:
        return self.correct.count(None)

    @property
    def lowest(self) -> float:
        """Mean correctness if every attempt without a verdict were wrong."""
        return both_ways(self.correct, mean).low

    @property
    def highest(self) -> float:
        """Mean correctness if every attempt without a verdict were right."""
        return both_ways(self.correct, mean).high


def gather(rows: Iterable[EvalRow], language: str = "") -> dict[str, ProblemAttempts]:
    """Rows by problem_id, without their texts; those of several looks may follow each other.

    `language` is the ISO 639-1 code of the language to look for; empty for none.

    Raises:
        ValueError: if `language` is no known code.
    """
    return gather_by(lambda row: "", rows, language).get("", {})


def joined(draws: Sequence[Mapping[str, ProblemAttempts]]) -> dict[str, ProblemAttempts]:
    """Several draws of the same problems as one: each problem's attempts, draw after draw."""
    found: dict[str, ProblemAttempts] = {}
    for draw in draws:
        for name, problem in draw.items():
            new = ProblemAttempts(problem.level, problem.subject)
            found.setdefault(name, new).attempts.extend(problem.attempts)
    return found


def gather_by(
    group: Callable[[EvalRow], str], rows: Iterable[EvalRow], language: str = ""
) -> dict[str, dict[str, ProblemAttempts]]:
    """As `gather`, for each group of rows apart, in any order: group -> problem_id -> attempts."""
    speaks = _speaks(language)
    groups: defaultdict[str, dict[str, ProblemAttempts]] = defaultdict(dict)
    for row in rows:
        new = ProblemAttempts(row.level, row.subject)
        problem = groups[group(row)].setdefault(row.problem_id, new)
        problem.attempts.append(_attempt(row, speaks(row.completion)))
    return dict(groups)


def _attempt(row: EvalRow, in_language: bool | None) -> Attempt:
    return Attempt(
        row.correct,
        None if row.answer is None else row.answer[:MAX_ANSWER],
        row.reason,
        row.finish_reason,
        row.num_tokens,
        row.logprob,
        in_language,
    )


def measure(problem: ProblemAttempts, metric: Metric, k: int | None = None) -> Bounds | None:
    """One problem's value of a metric; None where it says nothing about it.

    `k` is that of pass_at_k and maj_at_k; left out, all completions. `truncated` is the share cut
    off before there was an answer, `no_answer` that ended without one; `length` is in tokens.

    Raises:
        ValueError: if the problem has fewer than `k` completions.
    """
    if not problem.was_asked:
        return None
    attempts, correct = problem.attempts, problem.correct
    match metric:
        case "accuracy":
            return both_ways(correct, mean)
        case "pass_at_k":
            return both_ways(correct, lambda right: _pass_at(right, k))
        case "maj_at_k":
            votes = [_vote(attempt.answer) for attempt in attempts]
            return both_ways(correct, lambda right: maj_at_k(votes, right, k))
        case "truncated" | "no_answer":
            return both_ways([a.reason == metric if a.is_known else None for a in attempts], mean)
        case "length":
            return _only([a.num_tokens for a in attempts if a.was_made])
        case "language":
            return _only([a.in_language for a in attempts if a.in_language is not None])


def best_by_logprob(problem: ProblemAttempts, k: int | None = None) -> Bounds | None:
    """Chance that of `k` completions (default: all) the likeliest per token is correct.

    What the engine failed to make is chosen last. None where a completion has no logprob.

    Raises:
        ValueError: if the problem has fewer than `k` completions.
    """
    made = [attempt for attempt in problem.attempts if attempt.was_made]
    if not made or any(attempt.logprob is None for attempt in made):
        return None
    rewards = [_per_token(attempt) for attempt in problem.attempts]
    return both_ways(problem.correct, lambda right: best_of_k(right, rewards, k))


def _per_token(attempt: Attempt) -> float:
    if attempt.logprob is None:
        return -math.inf
    return attempt.logprob / max(attempt.num_tokens, 1)


def _pass_at(correct: Sequence[bool], k: int | None) -> float:
    return pass_at_k(len(correct), sum(correct), len(correct) if k is None else k)


def _vote(answer: str | None) -> Hashable | None:
    """What an answer counts as in a vote: its number, or its normal text."""
    if answer is None:
        return None
    form = form_of(answer)
    return form.text if form.number is None else form.number


def _only(values: Sequence[float]) -> Bounds | None:
    """The mean of what is known."""
    if not values:
        return None
    value = sum(values) / len(values)
    return Bounds(value, value)


def _speaks(language: str) -> Callable[[str], bool | None]:
    """Whether at least half of a text is in the language."""
    if not language:
        return lambda text: None
    judge = LanguageJudge()

    def speaks(text: str) -> bool | None:
        share = judge.read(text, language).share
        return None if share is None else share >= 0.5

    return speaks
