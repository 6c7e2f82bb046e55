"""From graded completions to mean@k with its interval; memory grows with problems alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from evals.metrics.intervals import Interval, bootstrap_interval, wilson_interval
from ratchet.generation.engine import PROMPT_TOO_LONG
from ratchet.records import EvalRow


@dataclass
class ProblemCount:
    """One problem's attempts: how many there are, have a verdict, and are right.

    `too_long` of them were never drawn, as the engine had no room for the prompt.
    """

    level: int | None = None
    attempts: int = 0
    scored: int = 0
    correct: int = 0
    too_long: int = 0

    @property
    def was_asked(self) -> bool:
        return self.too_long < self.attempts

    @property
    def unscored(self) -> int:
        return self.attempts - self.scored

    @property
    def lowest(self) -> float:
        """Mean correctness if every attempt without a verdict were wrong."""
        return self.correct / self.attempts

    @property
    def highest(self) -> float:
        """Mean correctness if every attempt without a verdict were right."""
        return (self.correct + self.unscored) / self.attempts


@dataclass
class Tally:
    """Counts over the rows seen so far."""

    problems: dict[str, ProblemCount] = field(default_factory=dict)
    completions: int = 0
    unscored: int = 0
    tokens: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    finish_reasons: Counter[str] = field(default_factory=Counter)

    def add(self, row: EvalRow) -> None:
        self.completions += 1
        self.tokens += row.num_tokens
        self.reasons[row.reason] += 1
        self.finish_reasons[row.finish_reason] += 1
        problem = self.problems.setdefault(row.problem_id, ProblemCount(row.level))
        problem.attempts += 1
        problem.too_long += row.reason == PROMPT_TOO_LONG
        if row.correct is None:
            self.unscored += 1
        else:
            problem.scored += 1
            problem.correct += row.correct

    def means(self) -> dict[str, float]:
        """problem_id -> mean correctness of its scored attempts; one with none is left out."""
        return {i: p.correct / p.scored for i, p in self.problems.items() if p.scored}


def tally(rows: Iterable[EvalRow]) -> Tally:
    """Count rows without keeping them."""
    counts = Tally()
    for row in rows:
        counts.add(row)
    return counts


def summarize(rows: Iterable[EvalRow], confidence: float) -> dict[str, Any]:
    """mean@k over problems with its interval, by level, and what happened to each completion.

    The interval is Wilson's where each problem's mean is 0 or 1, else a bootstrap over problems.
    """
    counts = tally(rows)
    means = counts.means()
    by_level: dict[int, list[float]] = defaultdict(list)
    for problem_id, mean in means.items():
        level = counts.problems[problem_id].level
        if level is not None:
            by_level[level].append(mean)
    return {
        **_mean_with_interval(list(means.values()), confidence),
        "completions": counts.completions,
        "unscored": counts.unscored,
        "tokens": counts.tokens,
        "reasons": dict(counts.reasons),
        "finish_reasons": dict(counts.finish_reasons),
        "by_level": {
            str(level): _mean_with_interval(by_level[level], confidence)
            for level in sorted(by_level)
        },
    }


def _mean_with_interval(values: Sequence[float], confidence: float) -> dict[str, Any]:
    if not values:
        return {"mean": None, "low": None, "high": None, "n": 0}
    interval: Interval
    if all(value in (0.0, 1.0) for value in values):
        interval = wilson_interval(round(sum(values)), len(values), confidence)
    else:
        interval = bootstrap_interval(values, seed=0, confidence=confidence)
    mean = sum(values) / len(values)
    return {"mean": mean, "low": interval.low, "high": interval.high, "n": len(values)}
