"""Guards: benchmarks and figures that must not get worse, each a test of non-inferiority.

A guard lets through what it was shown to be no worse than twice its margin. Every other verdict
holds the candidate back, but tells apart a loss from a guard that was too small to see anything.
All guards must pass, so their levels need no sharing out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from evals.attempts import Attempt, ProblemAttempts, measure
from evals.config import GateConfig, GuardConfig, Metric
from evals.gates.paired import Unscored, pair
from evals.gates.reasons import against
from evals.metrics.estimators import Bounds
from evals.metrics.intervals import Values
from evals.metrics.paired_tests import NonInferiority, non_inferiority, t_quantile
from evals.metrics.power import chance_unchanged_passes, prior_variance, problems_for_guard

_LESS_IS_BETTER: frozenset[Metric] = frozenset({"truncated", "no_answer", "length"})
_GRADED: frozenset[Metric] = frozenset({"accuracy", "pass_at_k", "maj_at_k"})
_SURE = 0.9
"""The chance of an unchanged candidate below which a guard that does not pass says little."""

GuardWord: TypeAlias = Literal["passed", "refused", "underpowered"]
_Problems: TypeAlias = Sequence[ProblemAttempts]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardVerdict:
    """What a guard says; only "passed" lets the candidate through.

    `incumbent`, `candidate` and `difference` are means over `n` problems in the metric's unit, with
    what has no verdict counted against the candidate. "underpowered": not passed, no loss beyond
    the margin shown, and an unchanged candidate would pass with less than 90 % chance;
    `needs_problems` would do. None for what could not be measured.
    """

    passed: bool
    verdict: GuardWord
    reason: str
    metric: Metric
    incumbent: float | None = None
    candidate: float | None = None
    difference: float | None = None
    se: float | None = None
    p: float | None = None
    n: int = 0
    needs_problems: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A guard's metric by problem: arrays of incumbent and candidate, in one order.

    `k` is that of pass@k and maj@k, None elsewhere; `left_out` problems say nothing on one side.
    """

    incumbent: Values
    candidate: Values
    k: int | None = None
    left_out: int = 0


def check_guard(
    name: str,
    config: GuardConfig,
    gate: GateConfig,
    incumbent: Mapping[str, ProblemAttempts],
    candidate: Mapping[str, ProblemAttempts],
) -> GuardVerdict:
    """Whether the candidate is shown to be no worse than the incumbent on a guard.

    `gate` bounds what may be without a verdict, as it does on dev. The k of pass@k and maj@k is at
    most the fewest completions that a problem has.

    Raises:
        ValueError: if the sides are of different problems.
    """
    pairs = pair(incumbent, candidate)
    sides = [[side[i] for i in pairs.ids] for side in (incumbent, candidate)]
    unknown = _unknown(config.metric, *sides)
    watched = _watch(config, *sides)
    objection = unknown.objection(gate)
    if not objection and not len(watched.incumbent):
        objection = f"no problem says anything of {_label(config.metric, watched.k)}"
    if objection:
        reason = f"guard {name}: refused, {objection}"
        return GuardVerdict(passed=False, verdict="refused", reason=reason, metric=config.metric)
    return judge(name, config, watched, replace(pairs, unscored=unknown).note)


def judge(name: str, config: GuardConfig, watched: Watched, note: str = "") -> GuardVerdict:
    """The verdict on one value per problem and side, of one problem at least."""
    scale = max(float(watched.incumbent.mean()), 1.0) if config.metric == "length" else 1.0
    gains = _gains(config, watched, scale)
    test = non_inferiority(gains, config.margin, config.alpha)
    verdict, needs = _verdict(config, gains, test)
    before, after = float(watched.incumbent.mean()), float(watched.candidate.mean())
    told = f"guard {name}: {verdict}, {_label(config.metric, watched.k)} "
    told += f"{_figures(config, before, after)}, {against(test.p, test.level)} {_loss(config)}"
    if needs:
        told += f"; to let an unchanged candidate pass it needs {needs:,} problems"
    if watched.left_out:
        told += f"; {watched.left_out} problems say nothing of it"
    return GuardVerdict(
        passed=test.passes,
        verdict=verdict,
        reason=told + note,
        metric=config.metric,
        incumbent=before,
        candidate=after,
        difference=after - before,
        se=None if test.se is None else test.se * scale,
        p=test.p,
        n=test.n,
        needs_problems=needs,
    )


def _unknown(metric: Metric, before: _Problems, after: _Problems) -> Unscored:
    """Completions on which the metric depends, but that do not say."""

    def says(attempt: Attempt) -> bool:
        if metric in _GRADED:
            return attempt.correct is not None
        return attempt.was_made if metric in ("length", "language") else attempt.is_known

    silent, unsaid = (
        sum(not says(attempt) for problem in side for attempt in problem.attempts)
        for side in (before, after)
    )
    return Unscored(silent, unsaid, sum(len(problem.attempts) for problem in after))


def _watch(config: GuardConfig, before: _Problems, after: _Problems) -> Watched:
    """Both sides' values, what has no verdict against the candidate."""
    k = None
    if config.metric in ("pass_at_k", "maj_at_k"):
        k = min((len(problem.attempts) for problem in (*before, *after)), default=1)
        k = min(k, config.k or k)
    measured = [
        (measure(b, config.metric, k), measure(a, config.metric, k))
        for b, a in zip(before, after, strict=True)
    ]
    known = [(b, a) for b, a in measured if b is not None and a is not None]
    best, worst = _high, _low
    if config.metric in _LESS_IS_BETTER:
        best, worst = worst, best
    incumbent = np.array([best(b) for b, _ in known], dtype=np.float64)
    candidate = np.array([worst(a) for _, a in known], dtype=np.float64)
    return Watched(incumbent, candidate, k, len(measured) - len(known))


def _low(bounds: Bounds) -> float:
    return min(bounds.low, bounds.high)


def _high(bounds: Bounds) -> float:
    return max(bounds.low, bounds.high)


def _gains(config: GuardConfig, watched: Watched, scale: float) -> Values:
    """By how much each problem got better; of lengths, in units of the incumbent's mean.

    The incumbent's mean length is measured too, so a length is held against the problem's own
    share of the tolerated one (Fieller's ratio): the mean is the same, and the variance is right.
    """
    match config.metric:
        case "length":
            tolerated = 2 * config.margin
            return ((1 + tolerated) * watched.incumbent - watched.candidate) / scale - tolerated
        case "truncated" | "no_answer":
            return watched.incumbent - watched.candidate
        case _:
            return watched.candidate - watched.incumbent


def _verdict(
    config: GuardConfig, gains: Values, test: NonInferiority
) -> tuple[GuardWord, int | None]:
    if test.passes:
        return "passed", None
    variance = float(gains.var(ddof=1)) if test.n > 1 else prior_variance(1)
    chance = chance_unchanged_passes(config.margin, test.n, variance, config.alpha)
    is_shown = test.se is not None and (
        test.mean + t_quantile(0.975, test.n - 1) * test.se < -config.margin
    )
    if is_shown or chance >= _SURE:
        return "refused", None
    return "underpowered", problems_for_guard(config.margin, variance, config.alpha)


def _label(metric: Metric, k: int | None) -> str:
    match metric:
        case "pass_at_k" | "maj_at_k":
            return f"{metric.removesuffix('_at_k')}@{k}"
        case "no_answer":
            return "no answer"
        case "language":
            return "share in the language"
        case _:
            return metric


def _figures(config: GuardConfig, before: float, after: float) -> str:
    if config.metric == "length":
        return f"{before:.0f} -> {after:.0f} tokens"
    return f"{100 * before:.1f} -> {100 * after:.1f} %"


def _loss(config: GuardConfig) -> str:
    lost = f"{200 * config.margin:g}"
    match config.metric:
        case "length":
            return f"for {lost} % more"
        case "truncated" | "no_answer":
            return f"for {lost} points more"
        case _:
            return f"for a loss of {lost} points"
