"""Selection: verdicts become training rows. Nothing else decides what trains.

The shell that streams shards through the pure functions of `filters.selection.sft`,
`filters.selection.dpo` and `filters.selection.balance`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from filters.base import FilterBase, groups_of
from filters.selection.balance import plan_targets
from filters.selection.config import (
    DpoSelection,
    GrpoSelection,
    SelectionConfig,
    SftSelection,
    named_filters,
)
from filters.selection.dpo import select_dpo
from filters.selection.group import JudgedGroup
from filters.selection.grpo import grpo_fate, grpo_row
from filters.selection.sft import select_sft, solution_ids, solution_row, supply_of
from ratchet.config import identity_settings
from ratchet.progress import Progress, Step, silent
from ratchet.records import Completion, DpoRow, GrpoRow, Problem, SftRow, Verdict
from ratchet.store.artifacts import Artifact, Workspace
from ratchet.store.identity import ArtifactSpec, derive_seed

VERSION = 3
_PROMPTS_TOLD = 8
"""Prompts whose lengths are told to trainers."""


@dataclass(frozen=True, kw_only=True)
class SelectInputs:
    """What selection reads. `problems` is by problem_id, in the data set's order."""

    completions: Artifact
    verdicts: Artifact
    filters: Sequence[FilterBase]
    problems: Mapping[str, Problem]
    problems_fingerprint: str
    seed: int
    progress: Progress = silent


def spec(config: SelectionConfig, inputs: SelectInputs) -> ArtifactSpec:
    """The training rows that this selection makes of these verdicts."""
    return ArtifactSpec(
        stage="select",
        version=VERSION,
        settings={
            **identity_settings(config),
            "modes": [[rule.label, rule.mode] for rule in inputs.filters],
            "seed": inputs.seed,
        },
        inputs={
            "completions": inputs.completions.fingerprint,
            "verdicts": inputs.verdicts.fingerprint,
            "problems": inputs.problems_fingerprint,
        },
    )


def row_type(config: SelectionConfig) -> type[SftRow] | type[DpoRow] | type[GrpoRow]:
    """The rows that a selection makes."""
    match config:
        case SftSelection():
            return SftRow
        case DpoSelection():
            return DpoRow
        case GrpoSelection():
            return GrpoRow


def rows_per_problem(config: SelectionConfig) -> int:
    """The rows that one problem's completions can become at most."""
    match config:
        case SftSelection():
            return config.max_per_problem
        case DpoSelection():
            return config.pairs_per_problem
        case GrpoSelection():
            return 1


def check_selection(config: SelectionConfig, filters: Sequence[FilterBase]) -> None:
    """Every filter that the selection goes by must be there.

    Raises:
        ValueError: naming the filters that are.
    """
    labels = [rule.label for rule in filters]
    for setting, name in named_filters(config).items():
        if name not in labels:
            raise ValueError(
                f"selection.{setting} = {name!r} is none of the run's filters: {labels}"
            )


def run(config: SelectionConfig, inputs: SelectInputs, out: Workspace) -> dict[str, Any]:
    """Write the training rows, one part for each part of completions.

    Memory holds one part at a time, and a few numbers for each problem. Some prompts' lengths in
    tokens go into the metrics, so that a trainer can tell rows of another tokenizer.
    """
    selector = _selector(config, inputs)
    counts: Counter[str] = Counter(rows=0, accepted=0, problems=0)
    prompt_tokens: dict[str, int] = {}
    total = len(inputs.completions.part_files())
    for index, groups in enumerate(_parts(inputs)):
        rows: list[Any] = []
        for group in groups:
            selected = selector.select(group)
            counts["accepted"] += sum(group.accepted)
            counts["problems"] += bool(selected)
            rows += selected
            if selected and len(prompt_tokens) < _PROMPTS_TOLD:
                prompt_tokens |= _prompt_tokens(group)
        counts["rows"] += len(rows)
        out.write_part(index, rows, row_type(config))
        inputs.progress(Step(index + 1, total, accepted=counts["rows"]))
    return {**counts, **selector.counts(), "prompt_tokens": prompt_tokens}


def _prompt_tokens(group: JudgedGroup) -> dict[str, int]:
    """None where the engine did not count, as a recording without counts does."""
    tokens = group.completions[0].num_prompt_tokens
    return {group.problem.problem_id: tokens} if tokens else {}


def judged_groups(
    completions: Sequence[Completion],
    verdicts: Sequence[Verdict],
    filters: Sequence[FilterBase],
    problems: Mapping[str, Problem],
) -> Iterator[JudgedGroup]:
    """The groups of one part with their verdicts."""
    by_problem = groupby(verdicts, key=lambda verdict: verdict.problem_id)
    for group, (_, rows) in zip(groups_of(completions), by_problem, strict=True):
        by_filter: dict[str, list[Verdict]] = {rule.label: [] for rule in filters}
        for verdict in rows:
            by_filter[verdict.filter].append(verdict)
        required = [by_filter[rule.label] for rule in filters if rule.mode == "require"]
        accepted = [all(v.accepted for v in row) for row in zip(*required, strict=True)]
        yield JudgedGroup(problems[group[0].problem_id], group, by_filter, accepted)


def _parts(inputs: SelectInputs) -> Iterator[Iterator[JudgedGroup]]:
    parts = zip(
        inputs.completions.iter_parts(Completion), inputs.verdicts.iter_parts(Verdict), strict=True
    )
    for completions, verdicts in parts:
        yield judged_groups(completions, verdicts, inputs.filters, inputs.problems)


def _groups(inputs: SelectInputs) -> Iterator[JudgedGroup]:
    for groups in _parts(inputs):
        yield from groups


class _Sft:
    """Selects SFT rows; where problems are balanced against each other, it looks at all first."""

    def __init__(self, config: SftSelection, inputs: SelectInputs) -> None:
        self._config = config
        self._inputs = inputs
        self._given = solution_ids(inputs.problems, config.include_solutions, inputs.seed)
        self._fates: Counter[str] = Counter()
        self._solutions = 0
        self._target = self._plan()

    def _plan(self) -> Callable[[str], int]:
        config = self._config
        if config.balance == "none" and config.max_rows is None:
            return lambda _: config.max_per_problem
        supplies = {g.problem.problem_id: supply_of(g, config) for g in _groups(self._inputs)}
        seed = derive_seed(self._inputs.seed, "targets")
        return plan_targets(supplies, config, seed).__getitem__

    def select(self, group: JudgedGroup) -> list[SftRow]:
        problem = group.problem
        target = self._target(problem.problem_id)
        chosen = select_sft(group, target, self._config, self._inputs.seed)
        self._fates += chosen.fates
        if problem.problem_id not in self._given:
            return chosen.rows
        self._solutions += 1
        return [*chosen.rows, solution_row(problem, group.prompt)]

    def counts(self) -> dict[str, Any]:
        selected = self._fates["selected"]
        return {
            "from_completions": selected,
            "from_solutions": self._solutions,
            "fates": dict(sorted(self._fates.items())),
        }


class _Dpo:
    """Selects DPO pairs."""

    def __init__(self, config: DpoSelection, inputs: SelectInputs) -> None:
        self._config = config
        self._seed = inputs.seed
        self._fates: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()

    def select(self, group: JudgedGroup) -> list[DpoRow]:
        paired = select_dpo(group, self._config, self._seed)
        self._fates += paired.fates
        self._outcomes[paired.outcome] += 1
        return paired.rows

    def counts(self) -> dict[str, Any]:
        return {
            "fates": dict(sorted(self._fates.items())),
            "groups": dict(sorted(self._outcomes.items())),
        }


class _Grpo:
    """Selects GRPO problems."""

    def __init__(self, config: GrpoSelection, inputs: SelectInputs) -> None:
        self._config = config
        self._outcomes: Counter[str] = Counter()
        self._kept = self._plan(inputs) if config.max_rows else None

    def _plan(self, inputs: SelectInputs) -> frozenset[str]:
        names = [
            group.problem.problem_id
            for group in _groups(inputs)
            if grpo_fate(group, self._config) == "in_band"
        ]
        count = min(self._config.max_rows or 0, len(names))
        drawn = random.Random(derive_seed(inputs.seed, "grpo")).sample(names, count)
        return frozenset(drawn)

    def select(self, group: JudgedGroup) -> list[GrpoRow]:
        fate: str = grpo_fate(group, self._config)
        if fate == "in_band" and self._kept is not None:
            fate = fate if group.problem.problem_id in self._kept else "over_cap"
        self._outcomes[fate] += 1
        return [grpo_row(group)] if fate == "in_band" else []

    def counts(self) -> dict[str, Any]:
        return {"groups": dict(sorted(self._outcomes.items()))}


def _selector(config: SelectionConfig, inputs: SelectInputs) -> _Sft | _Dpo | _Grpo:
    match config:
        case SftSelection():
            return _Sft(config, inputs)
        case DpoSelection():
            return _Dpo(config, inputs)
        case GrpoSelection():
            return _Grpo(config, inputs)
