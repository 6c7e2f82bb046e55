"""The decontamination filter: nothing may be trained on that holds a benchmark's problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from filters.base import FilterBase, FilterContext, Group, Mark
from ratchet.errors import InputError
from ratchet.problems.config import ProblemSource
from ratchet.records import Problem
from ratchet.texts.contamination import DEFAULT_NGRAM, DEFAULT_THRESHOLD, BenchmarkIndex, Match

Text = Literal["problem", "completion"]
BENCHMARK = "benchmark-"
"""What the names of the sets begin with that decontamination filters bring as `benchmarks`."""


class DecontaminationConfig(FilterBase):
    """Overlap with dev, test, the guards and further benchmarks."""

    kind: Literal["decontamination"] = "decontamination"
    benchmarks: tuple[ProblemSource, ...] = ()
    """Benchmarks to keep clear of beside dev, test and the guards."""
    against: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Only these benchmarks, by name; left out, all of them."""
    ngram: Annotated[int, Field(ge=1)] = DEFAULT_NGRAM
    """Words in a row that are compared. Shorter problems are looked for word for word."""
    threshold: Annotated[float, Field(gt=0, le=1)] = DEFAULT_THRESHOLD
    """Share of a benchmark problem's n-grams that one text may not hold."""
    check: Annotated[tuple[Text, ...], Field(min_length=1)] = ("problem", "completion")
    """The texts that are looked at."""


class Decontamination:
    """Accepts `clean`; else `contaminated_problem` (the whole group) or `contaminated_completion`.

    The reward is the highest share of one benchmark problem that either text holds; the note says
    which problem that was, where it was held.
    """

    def __init__(self, config: DecontaminationConfig, context: FilterContext) -> None:
        """
        Raises:
            InputError: if a benchmark that is named isn't there, or there is none at all.
        """
        self._check = config.check
        benchmarks = _chosen(config, context.benchmarks)
        self._index = BenchmarkIndex(benchmarks, config.ngram, config.threshold)

    def mark_group(self, group: Group) -> list[Mark]:
        """One mark per completion, in order; the problem is looked at once."""
        problem = self._nearest(group.problem.problem, "problem")
        if problem and problem.is_held:
            return [_mark("contaminated_problem", problem)] * len(group.completions)
        share = problem.share if problem else 0.0
        return [
            self._mark_completion(completion.completion, share) for completion in group.completions
        ]

    def _mark_completion(self, text: str, problem_share: float) -> Mark:
        match = self._nearest(text, "completion")
        if match and match.is_held:
            return _mark("contaminated_completion", match)
        return Mark(True, "clean", max(problem_share, match.share if match else 0.0))

    def _nearest(self, text: str, what: Text) -> Match | None:
        return self._index.nearest(text) if what in self._check else None


def _mark(reason: str, match: Match) -> Mark:
    return Mark(False, reason, match.share, f"{match.benchmark} {match.problem_id}")


def _chosen(
    config: DecontaminationConfig, benchmarks: Mapping[str, Sequence[Problem]]
) -> Mapping[str, Sequence[Problem]]:
    given = [name for name in benchmarks if name.startswith(BENCHMARK)]
    if len(given) < len(config.benchmarks):
        raise InputError(
            f"filter {config.label!r} names {len(config.benchmarks)} benchmarks, and {len(given)} "
            "were loaded, so it would call clean what they hold; load all that filters name"
        )
    names = config.against or tuple(benchmarks)
    if missing := [name for name in names if name not in benchmarks]:
        raise InputError(
            f"filter {config.label!r}: against names {missing}, and the benchmarks here are "
            f"{sorted(benchmarks)}; name some of these, or leave `against` out"
        )
    if not any(benchmarks[name] for name in names):
        raise InputError(
            f"filter {config.label!r} has no benchmark problem to compare with, so it would call "
            "everything clean; configure dev or test, or give it `benchmarks`"
        )
    return {name: benchmarks[name] for name in names}
