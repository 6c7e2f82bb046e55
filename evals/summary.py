"""The metrics of one evaluation, each with its interval; how rows become problems: `attempts`.

A figure is the mean over problems of what `measure` gives. What has no verdict is in it twice: as
wrong, which gives the interval's low end, and as right, which gives its high end; `mean` lies
halfway. Where completions were asked for and none could be graded there is no mean, and `state`
says that the grader is broken.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from evals.attempts import Attempt, ProblemAttempts, best_by_logprob, gather, measure
from evals.config import EvalConfig, Metric
from evals.metrics.estimators import Bounds, powers_of_two
from evals.metrics.intervals import Interval, rate_interval, t_interval
from ratchet.records import EvalRow

NO_FIGURE = {"mean": None, "low": None, "high": None, "n": 0}
OK, GRADER_BROKEN = "ok", "grader_broken"

Figure = dict[str, Any]


def summarize(rows: Iterable[EvalRow], config: EvalConfig) -> dict[str, Any]:
    """All figures of one evaluation, and what happened to its completions: `metrics_of`."""
    return metrics_of(gather(rows, config.language), config)


def metrics_of(problems: Mapping[str, ProblemAttempts], config: EvalConfig) -> dict[str, Any]:
    """The metrics of problems by id, all with their intervals.

    `mean`, `low`, `high` and `n` (problems) are of the accuracy; `k` is the completions that every
    problem has, and the k of `maj_at_k` and `best_of_k` (by mean logprob per token, where the
    engine gave logprobs). `pass_at_k` has a figure for each power of two up to `k`. `length` is in
    tokens, all else are shares. A problem whose prompt had no room is in no figure.
    """
    asked = [problem for problem in problems.values() if problem.was_asked]
    figures = Figures(asked, config.confidence)
    return {
        **figures.of("accuracy"),
        "state": OK if not asked or _any_graded(asked) else GRADER_BROKEN,
        "k": figures.k,
        **_counts([attempt for problem in problems.values() for attempt in problem.attempts]),
        "pass_at_k": {str(k): figures.of("pass_at_k", k) for k in powers_of_two(figures.k)},
        "maj_at_k": figures.of("maj_at_k", figures.k),
        **figures.best_of_k(),
        "truncated": figures.of("truncated"),
        "no_answer": figures.of("no_answer"),
        "length": figures.of("length"),
        **({"language": figures.of("language")} if config.language else {}),
        "by_level": _by(lambda problem: problem.level, figures),
        "by_subject": _by(lambda problem: problem.subject, figures),
    }


class Figures:
    """Figures over some problems."""

    def __init__(self, problems: Sequence[ProblemAttempts], confidence: float) -> None:
        self.problems = problems
        self.confidence = confidence
        self.k = min((len(problem.attempts) for problem in problems), default=0)

    def of(self, metric: Metric, k: int | None = None) -> Figure:
        """The mean of a metric over the problems, where any of them can tell it."""
        if not self._is_told(metric):
            return dict(NO_FIGURE)
        measured = [measure(problem, metric, k) for problem in self.problems]
        interval = _spread if metric == "length" else rate_interval
        return self._mean(measured, interval)

    def best_of_k(self) -> dict[str, Figure]:
        """Nothing where the engine gave no logprobs."""
        measured = [best_by_logprob(problem, self.k) for problem in self.problems]
        if not any(measured) or not _any_graded(self.problems):
            return {}
        return {"best_of_k": self._mean(measured, rate_interval)}

    def _is_told(self, metric: Metric) -> bool:
        match metric:
            case "accuracy" | "pass_at_k" | "maj_at_k":
                return _any_graded(self.problems)
            case "truncated" | "no_answer":
                return any(a.is_known for problem in self.problems for a in problem.attempts)
            case _:
                return True

    def _mean(
        self,
        measured: Sequence[Bounds | None],
        interval: Callable[[Sequence[float], float], Interval | None],
    ) -> Figure:
        bounds = [each for each in measured if each is not None]
        if not bounds:
            return dict(NO_FIGURE)
        lows, highs = [each.low for each in bounds], [each.high for each in bounds]
        below = interval(lows, self.confidence)
        above = below if highs == lows else interval(highs, self.confidence)
        return {
            "mean": (sum(lows) + sum(highs)) / (2 * len(bounds)),
            "low": below.low if below else None,
            "high": above.high if above else None,
            "n": len(bounds),
        }


def _spread(values: Sequence[float], confidence: float) -> Interval | None:
    """None for a single value: there is no saying how far others are."""
    return t_interval(values, confidence) if len(values) > 1 else None


def _any_graded(problems: Iterable[ProblemAttempts]) -> bool:
    return any(verdict is not None for problem in problems for verdict in problem.correct)


def _counts(attempts: Sequence[Attempt]) -> dict[str, Any]:
    return {
        "completions": len(attempts),
        "unscored": sum(attempt.correct is None for attempt in attempts),
        "tokens": sum(attempt.num_tokens for attempt in attempts),
        "reasons": dict(Counter(attempt.reason for attempt in attempts)),
        "finish_reasons": dict(Counter(attempt.finish_reason for attempt in attempts)),
    }


def _by(key: Callable[[ProblemAttempts], Hashable | None], figures: Figures) -> dict[str, Figure]:
    """The accuracy of the problems of each key; those without one are in none."""
    groups: defaultdict[Any, list[ProblemAttempts]] = defaultdict(list)
    for problem in figures.problems:
        if (name := key(problem)) is not None:
            groups[name].append(problem)
    return {
        str(name): Figures(groups[name], figures.confidence).of("accuracy")
        for name in sorted(groups)
    }
