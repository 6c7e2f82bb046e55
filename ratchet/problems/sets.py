"""Problem sets as artifacts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ratchet.errors import InputError
from ratchet.problems.config import ProblemSource
from ratchet.problems.grading import GradingRules
from ratchet.problems.load import load_problems, source_fingerprint
from ratchet.problems.reference_check import check_gold, gold_metrics
from ratchet.records import Problem
from ratchet.store.artifacts import Artifact, Store, Workspace
from ratchet.store.identity import ArtifactSpec
from ratchet.verifier.grader import Grader

VERSION = 3
_SHARD = 4096
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class ProblemSet:
    """One loaded set: train, dev, test or a guard's."""

    name: str
    artifact: Artifact
    problems: tuple[Problem, ...]
    rules: GradingRules
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Rows of the source that are no problem, and problems that can't be graded, by reason."""

    @property
    def fingerprint(self) -> str:
        return self.artifact.fingerprint

    @property
    def overlap(self) -> dict[str, Any] | None:
        """What it shared with other sets (see `problems.disjoint`); None for nothing."""
        return self.artifact.metrics if "overlaps" in self.artifact.metrics else None

    def by_id(self) -> dict[str, Problem]:
        return {problem.problem_id: problem for problem in self.problems}


def spec(source: ProblemSource) -> ArtifactSpec:
    """The artifact of a problem source's rows."""
    settings = {
        "source": source_fingerprint(source),
        "rules": GradingRules.of(source).identity(),
    }
    return ArtifactSpec(stage="problems", version=VERSION, settings=settings)


def run(source: ProblemSource, out: Workspace) -> dict[str, Any]:
    """Load the source and write the problems that can be graded; the others are counted by reason.

    Raises:
        InputError: if not one problem can be graded.
    """
    loaded = load_problems(source)
    rules = GradingRules.of(source)
    with Grader() as grader:
        kept, aside = check_gold(loaded.problems, grader, rules.answer_format, rules.policy)
    if not kept:
        raise InputError(
            f"none of the {len(aside)} problems can be graded: {gold_metrics(aside)}; "
            f"for example {aside[0].problem_id}: {aside[0].seen}"
        )
    write_problems(out, kept)
    return {
        "problems": len(kept),
        "skipped": dict(loaded.skipped),
        "set_aside": gold_metrics(aside),
        "set_aside_examples": [asdict(problem) for problem in aside[:_SHOWN]],
    }


def write_problems(out: Workspace, problems: Sequence[Problem]) -> None:
    """The parts of a set's artifact: the same problems make the same content."""
    for index, start in enumerate(range(0, len(problems), _SHARD)):
        out.write_part(index, problems[start : start + _SHARD], Problem)


def load_set(store: Store, name: str, source: ProblemSource) -> ProblemSet:
    """The set's artifact, made if it is not there, and its problems.

    Raises:
        InputError: if the source can't be read, or holds no problem with an answer.
    """
    artifact, _ = store.build(spec(source), lambda out: run(source, out))
    return ProblemSet(
        name=name,
        artifact=artifact,
        problems=tuple(artifact.rows(Problem)),
        rules=GradingRules.of(source),
        skipped=Counter(artifact.metrics["skipped"]) + Counter(artifact.metrics["set_aside"]),
    )
