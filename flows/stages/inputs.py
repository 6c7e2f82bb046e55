"""What the filter and select stages read: the same in a run and in `ratchet rescore`.

Nothing here imports Prefect, which rescoring does without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from filters.selection.stage import SelectInputs
from filters.stage import FilterInputs
from flows.config import RunConfig
from ratchet.problems.grading import GradingRules
from ratchet.problems.sets import ProblemSet
from ratchet.store.artifacts import Artifact
from ratchet.verifier.grader import Grader

LoadedSets = Mapping[str, ProblemSet]
"""A config's problem sets by name, as `flows.preflight.problem_sets` loads them."""


@dataclass(frozen=True)
class JudgedCompletions:
    """An iteration's completions with their verdicts."""

    completions: Artifact
    verdicts: Artifact


def filter_inputs(
    config: RunConfig, sets: LoadedSets, completions: Artifact, grader: Grader
) -> FilterInputs:
    """The train problems' completions, graded by the config's rules, with all benchmarks known.

    Rescoring may have other rules than those that `sets` were loaded with.
    """
    train = sets["train"]
    return FilterInputs(
        completions=completions,
        problems=train.by_id(),
        problems_fingerprint=train.fingerprint,
        rules=GradingRules.of(config.problems.train),
        grader=grader,
        benchmarks={name: benchmark for name, benchmark in sets.items() if name != "train"},
    )


def select_inputs(config: RunConfig, sets: LoadedSets, judged: JudgedCompletions) -> SelectInputs:
    """What any training's rows are chosen from."""
    train = sets["train"]
    return SelectInputs(
        completions=judged.completions,
        verdicts=judged.verdicts,
        filters=config.filters,
        problems=train.by_id(),
        problems_fingerprint=train.fingerprint,
        seed=config.seed,
    )
