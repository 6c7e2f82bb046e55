"""The filter stage: every completion gets every filter's verdict; nothing is dropped.

One pass over the shards, whose groups are judged on all cores. The outcome filter stays in this
process, where the one grader is, and takes the grades that were found beside sampling where they
are; so does a filter that looks across groups.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filters.base import (
    FILTER_ERROR,
    FilterContext,
    Group,
    LengthCounts,
    Mark,
    SetFilter,
    groups_of,
    is_sound,
)
from filters.build import build_filter, settings_of
from filters.config import FilterConfig, looks_across
from filters.funnel import Funnel
from filters.judging import (
    GroupMarks,
    Judge,
    Known,
    PackedGroup,
    mark_across,
    marker_of,
    packed,
    unpacked,
)
from filters.kinds.decontamination import DecontaminationConfig
from filters.kinds.length import LengthConfig
from filters.kinds.orm import Orm, OrmConfig
from ratchet.problems.grading import GradingRules
from ratchet.problems.sets import ProblemSet
from ratchet.processes.pool import Crew
from ratchet.progress import Progress, Step, silent
from ratchet.records import Completion, Problem, Verdict, from_table, schema_of
from ratchet.store.artifacts import Artifact, Workspace
from ratchet.store.identity import ArtifactSpec
from ratchet.verifier.grade_file import read_grades
from ratchet.verifier.grader import Grader
from ratchet.verifier.grades import FAILURES, Grade

VERSION = 2
CREW_FROM = 20_000
"""Completions from which other processes are worth their start."""
Groups = list[list[Completion]]


@dataclass(frozen=True, kw_only=True)
class FilterInputs:
    """What the stage reads; `problems` is by problem_id, `benchmarks` by name."""

    completions: Artifact
    problems: Mapping[str, Problem]
    problems_fingerprint: str
    rules: GradingRules
    grader: Grader
    benchmarks: Mapping[str, ProblemSet] = field(default_factory=dict)
    processes: int | None = None
    progress: Progress = silent


def spec(configs: Sequence[FilterConfig], inputs: FilterInputs) -> ArtifactSpec:
    """The artifact that these filters make of these completions."""
    return ArtifactSpec(
        stage="filter",
        version=VERSION,
        settings={
            "filters": [settings_of(config) for config in configs],
            "rules": inputs.rules.identity(),
        },
        inputs={
            "completions": inputs.completions.fingerprint,
            "problems": inputs.problems_fingerprint,
            **{
                f"benchmark/{name}": benchmark.fingerprint
                for name, benchmark in sorted(_benchmarks(configs, inputs).items())
            },
        },
    )


def _benchmarks(configs: Sequence[FilterConfig], inputs: FilterInputs) -> Mapping[str, ProblemSet]:
    """The benchmarks that can change a verdict: none without a decontamination filter."""
    wanted = any(isinstance(config, DecontaminationConfig) for config in configs)
    return inputs.benchmarks if wanted else {}


def run(configs: Sequence[FilterConfig], inputs: FilterInputs, out: Workspace) -> dict[str, Any]:
    """Write one part of verdicts for each part of completions; the metrics are the funnel.

    Memory holds one part, and two more for each process.

    Raises:
        InputError: if a filter can't be built.
        RuntimeError: if a filter raised on more completions than its `max_error_share`.
    """
    context = _context(configs, inputs)
    here = _InProcessFilters(configs, inputs, context)
    funnel = Funnel(configs)
    total = len(inputs.completions.part_files())
    for index, (groups, judged) in enumerate(_judged_parts(configs, inputs, context, here)):
        marks = [
            here.completed(result, group) for group, result in zip(groups, judged, strict=True)
        ]
        for group_marks in marks:
            funnel.add(group_marks)
        out.write_table(index, verdict_table(groups, configs, marks))
        _check_errors(funnel, configs, inputs.completions.manifest.rows)
        inputs.progress(
            Step(index + 1, total, accepted=funnel.accepted, completions=funnel.completions)
        )
    return {**funnel.metrics(), **here.audit(out)}


def verdict_table(
    groups: Groups, configs: Sequence[FilterConfig], marks: Sequence[Sequence[Sequence[Mark]]]
) -> pa.Table:
    """The verdicts of one part, completion by completion, each filter's in the config's order.

    Column by column, as a row object for each verdict takes longer than many a filter.
    """
    completions = [completion for group in groups for completion in group]
    rows = [mark for group in marks for column in zip(*group, strict=True) for mark in column]
    each = len(configs)
    columns = {
        "problem_id": [c.problem_id for c in completions for _ in range(each)],
        "attempt": [c.attempt for c in completions for _ in range(each)],
        "filter": [config.label for config in configs] * len(completions),
        "accepted": [mark.accepted for mark in rows],
        "reason": [mark.reason for mark in rows],
        "reward": [mark.reward for mark in rows],
        "step_rewards": [None] * len(rows),
        "answer": [mark.answer for mark in rows],
        "note": [mark.note for mark in rows],
    }
    return pa.Table.from_pydict(columns, schema=schema_of(Verdict))


def _check_errors(funnel: Funnel, configs: Sequence[FilterConfig], total: int) -> None:
    for config, step in zip(configs, funnel.steps, strict=True):
        errors = step.reasons[FILTER_ERROR]
        if errors > config.max_error_share * total:
            raise RuntimeError(
                f"filter {step.name!r} raised on {errors} of {funnel.completions} completions, "
                f"more than max_error_share={config.max_error_share} of all {total}; the last part "
                f"was not kept. For example: {funnel.error_notes.get(step.name)}"
            )


class _InProcessFilters:
    """What stays in this process: the outcome filters, and the filter that looks across groups."""

    def __init__(
        self, configs: Sequence[FilterConfig], inputs: FilterInputs, context: FilterContext
    ) -> None:
        self._problems = inputs.problems
        self._completions = inputs.completions
        self._key = inputs.rules.key(inputs.problems_fingerprint)
        self._orms = {
            config.label: Orm(inputs.grader, inputs.rules)
            for config in configs
            if isinstance(config, OrmConfig)
        }
        self._markers = {label: marker_of(orm) for label, orm in self._orms.items()}
        last = build_filter(configs[-1], context) if looks_across(configs[-1]) else None
        self._across = last if isinstance(last, SetFilter) else None

    def known(self, groups: Groups, part: Path) -> list[Known]:
        """The outcome filters' marks on what is sound of each group of a part."""
        if not self._orms:
            return [{} for _ in groups]
        grades = read_grades(self._completions, part, self._key)
        if grades is None:
            return [self._graded(group) for group in groups]
        found = iter(grades)
        return [self._taken(group, list(islice(found, len(group)))) for group in groups]

    def _graded(self, group: Sequence[Completion]) -> Known:
        sound = [completion for completion in group if is_sound(completion)]
        view = Group(self._problems[group[0].problem_id], sound, {}, [True] * len(sound))
        return {label: marker(view) for label, marker in self._markers.items()}

    def _taken(self, group: Sequence[Completion], grades: Sequence[Grade | None]) -> Known:
        """From what was found beside sampling; where the grader failed, it is asked again."""
        problem = self._problems[group[0].problem_id]
        sound = [grade for grade in grades if grade is not None]
        if any(grade.reason in FAILURES for grade in sound):
            return self._graded(group)
        return {label: orm.marks_of(problem, sound) for label, orm in self._orms.items()}

    def completed(self, judged: GroupMarks, group: Sequence[Completion]) -> list[list[Mark]]:
        """A group's marks with those of the filter that looks across groups."""
        if self._across is None:
            return judged.marks
        return [*judged.marks, mark_across(self._across, judged, group)]

    def audit(self, out: Workspace) -> dict[str, Any]:
        """Write what a person should look at after grading, and count it."""
        for orm in self._orms.values():
            orm.audit.write(out.path / "audit")
            return {
                "rules": orm.audit.by("rule"),
                "tiers": orm.audit.by("tier"),
                "suspicious_references": sum(1 for _ in orm.audit.suspicious()),
            }
        return {}


def _judged_parts(
    configs: Sequence[FilterConfig],
    inputs: FilterInputs,
    context: FilterContext,
    here: _InProcessFilters,
) -> Iterator[tuple[Groups, list[GroupMarks]]]:
    """Each part's groups with their marks, in order, judged here or by a crew."""
    files = inputs.completions.part_files()
    parts = (list(groups_of(part)) for part in inputs.completions.iter_parts(Completion))
    known = ((groups, here.known(groups, file)) for groups, file in zip(parts, files, strict=True))
    processes = inputs.processes or _processes(configs, inputs.completions.manifest.rows)
    if processes == 1:
        judge = Judge(configs, [build_filter(config, context) for config in configs])
        for groups, marks in known:
            yield groups, _judge_groups(judge, inputs.problems, groups, marks)
        return
    jobs = ((groups, _Job(file, marks)) for file, (groups, marks) in zip(files, known, strict=True))
    with Crew(processes, _judge_part, _begin, (tuple(configs), context)) as crew:
        for groups, judged in crew.map(jobs):
            yield groups, [unpacked(group) for group in judged]


def _processes(configs: Sequence[FilterConfig], completions: int) -> int:
    if completions < CREW_FROM or all(isinstance(config, OrmConfig) for config in configs):
        return 1
    return os.cpu_count() or 1


def _judge_groups(
    judge: Judge, problems: Mapping[str, Problem], groups: Groups, known: Sequence[Known]
) -> list[GroupMarks]:
    return [
        judge.judge(problems[group[0].problem_id], group, marks)
        for group, marks in zip(groups, known, strict=True)
    ]


def _context(configs: Sequence[FilterConfig], inputs: FilterInputs) -> FilterContext:
    return FilterContext(
        problems=inputs.problems,
        benchmarks={
            name: benchmark.problems for name, benchmark in _benchmarks(configs, inputs).items()
        },
        lengths=_lengths(configs, inputs.completions),
    )


def _lengths(configs: Sequence[FilterConfig], completions: Artifact) -> LengthCounts:
    """The lengths of all completions, where a filter compares with them; reads two columns."""
    tokens: Counter[int] = Counter()
    chars: Counter[int] = Counter()
    wanted = {c.unit for c in configs if isinstance(c, LengthConfig) and c.outliers == "set"}
    for file in completions.part_files() if wanted else []:
        table = pq.read_table(file, columns=["num_tokens", "completion", "finish_reason"])
        table = table.filter(pc.not_equal(table["finish_reason"], "error"))
        tokens.update(table["num_tokens"].to_pylist())
        if "chars" in wanted:
            chars.update(pc.utf8_length(table["completion"]).to_pylist())
    return LengthCounts(tokens, chars)


@dataclass(frozen=True, slots=True)
class _Job:
    """One part for a process of the crew; `known` holds a group's outcome marks, by filter."""

    file: Path
    known: list[Known]


_JUDGE: tuple[Judge, Mapping[str, Problem]] | None = None


def _begin(configs: Sequence[FilterConfig], context: FilterContext) -> None:
    """In a process of the crew: its own filters."""
    global _JUDGE
    rules = [build_filter(config, context) for config in configs]
    _JUDGE = Judge(configs, rules), context.problems


def _judge_part(job: _Job) -> list[PackedGroup]:
    if _JUDGE is None:
        raise RuntimeError("this process has no filters; it must be started with _begin")
    judge, problems = _JUDGE
    groups = list(groups_of(from_table(pq.read_table(job.file), Completion)))
    return [packed(judged) for judged in _judge_groups(judge, problems, groups, job.known)]
