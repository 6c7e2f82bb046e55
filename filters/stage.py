"""The filter stage: every completion gets every filter's verdict; nothing is dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from filters.config import FilterConfig, OrmConfig
from filters.orm import Orm
from ratchet.answers import Grader
from ratchet.config import identity_settings
from ratchet.grading import GradingRules
from ratchet.identity import ArtifactSpec
from ratchet.progress import Progress, Step, silent
from ratchet.records import Completion, Problem, Verdict
from ratchet.store import Artifact, Workspace

VERSION = 1


class Filter(Protocol):
    """Marks the completions of one group, in the group's order."""

    name: str

    def judge(self, problem: Problem, group: Sequence[Completion]) -> list[Verdict]: ...


@dataclass(frozen=True, kw_only=True)
class FilterInputs:
    """What the stage reads; `problems` is by problem_id."""

    completions: Artifact
    problems: Mapping[str, Problem]
    problems_fingerprint: str
    rules: GradingRules
    grader: Grader
    redo: int = 0
    progress: Progress = silent


def spec(configs: Sequence[FilterConfig], inputs: FilterInputs) -> ArtifactSpec:
    """The artifact that these filters make of these completions."""
    return ArtifactSpec(
        stage="filter",
        version=VERSION,
        settings={
            "filters": [identity_settings(config) for config in configs],
            "rules": inputs.rules.identity(),
            **({"redo": inputs.redo} if inputs.redo else {}),
        },
        inputs={
            "completions": inputs.completions.fingerprint,
            "problems": inputs.problems_fingerprint,
        },
    )


def build_filters(
    configs: Sequence[FilterConfig], grader: Grader, rules: GradingRules
) -> list[Filter]:
    """The filters, in the config's order."""
    return [_build(config, grader, rules) for config in configs]


def _build(config: FilterConfig, grader: Grader, rules: GradingRules) -> Filter:
    match config:
        case OrmConfig():
            return Orm(grader, rules)


def groups_of(completions: Iterable[Completion]) -> Iterator[list[Completion]]:
    """Consecutive completions of one problem; a shard holds whole groups."""
    for _, group in groupby(completions, key=lambda completion: completion.problem_id):
        yield list(group)


def run(configs: Sequence[FilterConfig], inputs: FilterInputs, out: Workspace) -> dict[str, Any]:
    """Write one part of verdicts for each part of completions; the metrics are the funnel.

    Memory holds one part at a time.
    """
    filters = build_filters(configs, inputs.grader, inputs.rules)
    funnel = Funnel([config.mode == "require" for config in configs])
    total = len(inputs.completions.part_files())
    for index, part in enumerate(inputs.completions.iter_parts(Completion)):
        verdicts: list[Verdict] = []
        for group in groups_of(part):
            problem = inputs.problems[group[0].problem_id]
            judged = [rule.judge(problem, group) for rule in filters]
            funnel.add(judged)
            verdicts += [verdict for row in zip(*judged, strict=True) for verdict in row]
        out.write_part(index, verdicts, Verdict)
        inputs.progress(
            Step(index + 1, total, accepted=funnel.accepted, completions=funnel.completions)
        )
    return {**funnel.metrics(), **_audit(filters, out)}


def _audit(filters: Sequence[Filter], out: Workspace) -> dict[str, Any]:
    """Write what a person should look at after grading, and count it."""
    for rule in filters:
        if isinstance(rule, Orm):
            rule.audit.write(out.path / "audit")
            return {
                "rules": rule.audit.by("rule"),
                "tiers": rule.audit.by("tier"),
                "suspicious_references": sum(1 for _ in rule.audit.suspicious()),
            }
    return {}


class Funnel:
    """Counts where the completions went. `required[i]`: may filter i keep one from training?"""

    def __init__(self, required: Sequence[bool]) -> None:
        self._required = required
        self.completions = 0
        self.accepted = 0
        self._solved = 0
        self._groups = 0
        self._reasons: dict[str, Counter[str]] = {}

    def add(self, judged: Sequence[Sequence[Verdict]]) -> None:
        """Count one group: `judged[i][j]` is filter i's verdict on completion j."""
        accepted = 0
        for row in zip(*judged, strict=True):
            self.completions += 1
            for verdict in row:
                self._reasons.setdefault(verdict.filter, Counter())[verdict.reason] += 1
            accepted += passes(row, self._required)
        self.accepted += accepted
        self._groups += 1
        self._solved += accepted > 0

    def metrics(self) -> dict[str, Any]:
        """The funnel as it stands in the manifest; reasons of a filter sum to `completions`."""
        return {
            "completions": self.completions,
            "accepted": self.accepted,
            "problems": self._groups,
            "problems_solved": self._solved,
            "reasons": {name: dict(counts) for name, counts in self._reasons.items()},
        }


def passes(verdicts: Sequence[Verdict], required: Sequence[bool]) -> bool:
    """Whether every required filter accepted the completion."""
    return all(v.accepted for v, needed in zip(verdicts, required, strict=True) if needed)
