"""Problem sets as artifacts, and the check that train, dev and test share nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from ratchet.answers import Grader
from ratchet.errors import InputError
from ratchet.gold import check_gold, gold_metrics
from ratchet.grading import GradingRules
from ratchet.identity import ArtifactSpec
from ratchet.overlap import Overlap, find_overlaps
from ratchet.records import Problem
from ratchet.sources import load_problems, source_fingerprint
from ratchet.sources.config import ProblemSource
from ratchet.store import Artifact, Store, Workspace

VERSION = 2
_SHARD = 4096
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class ProblemSet:
    """One loaded set: train, dev, test or a guard's."""

    name: str
    artifact: Artifact
    problems: tuple[Problem, ...]
    rules: GradingRules

    @property
    def fingerprint(self) -> str:
        return self.artifact.fingerprint

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
    for index, start in enumerate(range(0, len(kept), _SHARD)):
        out.write_part(index, kept[start : start + _SHARD], Problem)
    return {
        "problems": len(kept),
        "skipped": dict(loaded.skipped),
        "set_aside": gold_metrics(aside),
        "set_aside_examples": [asdict(problem) for problem in aside[:_SHOWN]],
    }


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
    )


def check_disjoint(store: Store, sets: Mapping[str, ProblemSet], threshold: float) -> None:
    """Stop before a token is spent if two sets share problems; the check is made once per content.

    Raises:
        InputError: with the pairs listed.
    """
    found: list[str] = []
    for (name_a, a), (name_b, b) in combinations(sets.items(), 2):
        overlaps = _overlaps(store, a, b, threshold)
        if overlaps:
            found.append(f"{name_a} and {name_b} share {len(overlaps)} problems:")
            found += [f"  {o['id_a']} ~ {o['id_b']} ({o['kind']})" for o in overlaps[:_SHOWN]]
            if len(overlaps) > _SHOWN:
                found.append(f"  … and {len(overlaps) - _SHOWN} more")
    if found:
        raise InputError(
            "problem sets overlap, so dev and test would measure memory:\n"
            + "\n".join(found)
            + "\nremove the listed problems from one set, or choose other splits"
        )


def _overlaps(store: Store, a: ProblemSet, b: ProblemSet, threshold: float) -> list[Any]:
    check = ArtifactSpec(
        stage="overlap",
        version=VERSION,
        settings={"threshold": threshold},
        inputs={"a": a.fingerprint, "b": b.fingerprint},
    )

    def make(out: Workspace) -> dict[str, Any]:
        pairs = find_overlaps(a.problems, b.problems, threshold=threshold)
        return {"overlaps": [_plain(pair) for pair in pairs]}

    artifact, _ = store.build(check, make)
    overlaps: list[Any] = artifact.metrics["overlaps"]
    return overlaps


def _plain(pair: Overlap) -> dict[str, Any]:
    return {"id_a": pair.id_a, "id_b": pair.id_b, "kind": pair.kind, "share": pair.share}
