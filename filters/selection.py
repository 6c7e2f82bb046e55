"""Selection: verdicts become training rows. Nothing else decides what trains.

Pure functions of rows and a seed, and the shell that streams shards through them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from filters.config import FilterConfig, SelectionConfig
from filters.stage import groups_of, passes
from ratchet.config import identity_settings
from ratchet.identity import ArtifactSpec, derive_seed
from ratchet.progress import Progress, Step, silent
from ratchet.records import Completion, Problem, SftRow, Verdict
from ratchet.store import Artifact, Workspace

VERSION = 1
GIVEN_SOLUTION = -1
"""The `attempt` of a row that is the problem's given solution."""


@dataclass(frozen=True, kw_only=True)
class SelectInputs:
    """What selection reads. `problems` is by problem_id, in the data set's order."""

    completions: Artifact
    verdicts: Artifact
    filters: Sequence[FilterConfig]
    problems: Mapping[str, Problem]
    problems_fingerprint: str
    seed: int
    redo: int = 0
    progress: Progress = silent


def spec(config: SelectionConfig, inputs: SelectInputs) -> ArtifactSpec:
    """The training rows that this selection makes of these verdicts."""
    return ArtifactSpec(
        stage="select",
        version=VERSION,
        settings={
            **identity_settings(config),
            "modes": [rule.mode for rule in inputs.filters],
            "seed": inputs.seed,
            **({"redo": inputs.redo} if inputs.redo else {}),
        },
        inputs={
            "completions": inputs.completions.fingerprint,
            "verdicts": inputs.verdicts.fingerprint,
            "problems": inputs.problems_fingerprint,
        },
    )


def unique_texts(group: Sequence[Completion]) -> list[Completion]:
    """The first of each set of completions that differ in whitespace only."""
    first: dict[str, Completion] = {}
    for completion in group:
        first.setdefault(" ".join(completion.completion.split()), completion)
    return list(first.values())


def cap_at_random(group: Sequence[Completion], cap: int, seed: int) -> list[Completion]:
    """At most `cap` of the group, drawn without replacement, in the group's order."""
    if len(group) <= cap:
        return list(group)
    kept = sorted(random.Random(seed).sample(range(len(group)), cap))
    return [group[index] for index in kept]


def select_group(
    accepted: Sequence[Completion], config: SelectionConfig, seed: int
) -> list[SftRow]:
    """SFT rows of one group's accepted completions: unique, capped, weight 1."""
    if not accepted:
        return []
    own_seed = derive_seed(seed, accepted[0].problem_id)
    kept = cap_at_random(unique_texts(accepted), config.max_per_problem, own_seed)
    return [
        SftRow(
            problem_id=completion.problem_id,
            attempt=completion.attempt,
            prompt=completion.prompt,
            completion=completion.completion,
        )
        for completion in kept
    ]


def solution_ids(problems: Mapping[str, Problem], count: int, seed: int) -> frozenset[str]:
    """Problems whose given solution is mixed in, drawn without replacement."""
    given = [problem_id for problem_id, problem in problems.items() if problem.solution]
    drawn = random.Random(derive_seed(seed, "solutions")).sample(given, min(count, len(given)))
    return frozenset(drawn)


def solution_row(problem: Problem, prompt: str) -> SftRow:
    """The given solution of a problem as a training row."""
    return SftRow(
        problem_id=problem.problem_id,
        attempt=GIVEN_SOLUTION,
        prompt=prompt,
        completion=problem.solution or "",
    )


def _accepted_groups(
    inputs: SelectInputs, completions: list[Completion], verdicts: list[Verdict]
) -> Iterator[tuple[Completion, list[Completion]]]:
    """(first of the group, its accepted completions), group by group."""
    required = [rule.mode == "require" for rule in inputs.filters]
    by_completion = groupby(verdicts, key=lambda verdict: (verdict.problem_id, verdict.attempt))
    marks = (passes(list(rows), required) for _, rows in by_completion)
    for group in groups_of(completions):
        flags = [next(marks) for _ in group]
        yield group[0], [c for c, accepted in zip(group, flags, strict=True) if accepted]


def run(config: SelectionConfig, inputs: SelectInputs, out: Workspace) -> dict[str, Any]:
    """Write the training rows, one part for each part of completions.

    Memory holds one part at a time.
    """
    chosen = solution_ids(inputs.problems, config.include_solutions, inputs.seed)
    total = len(inputs.completions.part_files())
    counts = {"rows": 0, "from_completions": 0, "from_solutions": 0, "accepted": 0, "problems": 0}
    parts = zip(
        inputs.completions.iter_parts(Completion), inputs.verdicts.iter_parts(Verdict), strict=True
    )
    for index, (completions, verdicts) in enumerate(parts):
        rows: list[SftRow] = []
        for first, accepted in _accepted_groups(inputs, completions, verdicts):
            selected = select_group(accepted, config, inputs.seed)
            counts["accepted"] += len(accepted)
            counts["from_completions"] += len(selected)
            if first.problem_id in chosen:
                selected.append(solution_row(inputs.problems[first.problem_id], first.prompt))
                counts["from_solutions"] += 1
            counts["problems"] += bool(selected)
            rows += selected
        counts["rows"] += len(rows)
        out.write_part(index, rows, SftRow)
        inputs.progress(Step(index + 1, total, accepted=counts["rows"]))
    return counts
