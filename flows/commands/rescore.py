"""`ratchet rescore`: other filters or selection on a run's completions; nothing is sampled again.

What it makes lies in the store as any artifact does, so a run with the same settings reuses it. The
run itself, its ledger and its decisions stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filters import stage as filter_stage
from filters.selection import stage as select_stage
from flows.config import RunConfig, Training, stored_config
from flows.preflight import benchmarks, problem_sets
from flows.reports import sets_report
from flows.reports.funnel import counted
from flows.reports.lineage import artifact_of
from flows.stages.inputs import JudgedCompletions, LoadedSets, filter_inputs, select_inputs
from ratchet.config import apply_overrides, read_toml
from ratchet.errors import InputError
from ratchet.problems.sets import ProblemSet, load_set
from ratchet.records import DpoRow, GrpoRow, SftRow
from ratchet.store.artifacts import Artifact
from ratchet.store.ledger import LedgerEntry, Run, StepKey
from ratchet.verifier.grader import Grader

_CHANGEABLE = ("filters", "selection")
_RULES = ("answer_format", "policy")
"""Settings of the train source that only say how its answers are graded."""


def changed_config(run: Run, settings: Sequence[str], file: Path | None) -> RunConfig:
    """The run's config with the filters and selection of `file`, then `settings`.

    Raises:
        InputError: if anything else would change.
    """
    before = stored_config(run.config, run.name)
    tables = dict(run.config)
    if file:
        tables |= {key: value for key, value in read_toml(file).items() if key in _CHANGEABLE}
    after = stored_config(apply_overrides(tables, settings), run.name)
    if _unchangeable(before) != _unchangeable(after):
        raise InputError(
            "rescoring draws no new completions, so only filters, selection and "
            f"problems.train.{{{', '.join(_RULES)}}} can be set; for anything else make a new run"
        )
    return after


def _unchangeable(config: RunConfig) -> dict[str, Any]:
    dumped = config.model_dump(mode="json", exclude=set(_CHANGEABLE))
    for name in _RULES:
        dumped["problems"]["train"].pop(name, None)
    return dumped


def rescore(run: Run, config: RunConfig) -> list[dict[str, Any]]:
    """For each iteration the funnel and the rows, before and after."""
    before = stored_config(run.config, run.name)
    own = _own_sets(run, before)
    sampled = [entry for entry in run.entries().values() if entry.stage == "sample"]
    if not sampled:
        raise InputError(f"run {run.name!r} has sampled nothing yet; ratchet resume {run.name}")
    with Grader() as grader:
        sides = {
            name: _Side(each, {**own, **benchmarks(each, run.store)})
            for name, each in (("before", before), ("after", config))
        }
        made = _Rescoring(run, sides, grader)
        return [made.iteration(entry) for entry in sampled]


def _own_sets(run: Run, config: RunConfig) -> dict[str, ProblemSet]:
    """The run's sets as it sampled them: all of train, if it is from before overlap was dropped."""
    sets = problem_sets(config, run.store)
    own = {name: sets[name] for name in config.sources()}
    dropped = StepKey(None, sets_report.STAGE, "train").step in run.entries()
    if own["train"].overlap and not dropped:
        own["train"] = load_set(run.store, "train", config.problems.train)
    return own


@dataclass(frozen=True)
class _Side:
    """One of the two configs, with the run's sets and the benchmarks that its own filters name."""

    config: RunConfig
    sets: LoadedSets


class _Rescoring:
    """The two configs on one run's completions."""

    def __init__(self, run: Run, sides: Mapping[str, _Side], grader: Grader) -> None:
        self._run = run
        self._sides = sides
        self._grader = grader

    def iteration(self, sampled: LedgerEntry) -> dict[str, Any]:
        """One iteration's completions, judged by both.

        Raises:
            InputError: if they are gone or damaged.
        """
        completions = artifact_of(self._run, sampled)
        found: dict[str, Any] = {
            "iteration": sampled.iteration,
            "completions": completions.manifest.rows,
        }
        rows = {}
        for name, side in self._sides.items():
            judged = self._judge(side, completions, sampled.iteration)
            metrics = judged.verdicts.metrics
            found[name] = {key: metrics[key] for key in ("accepted", "funnel", "reasons")}
            rows[name] = {
                training.label: self._select(side, training, judged, sampled.iteration)
                for training in side.config.trainings()
            }
        return {**found, "rows": _differences(rows["before"], rows["after"])}

    def _judge(
        self, side: _Side, completions: Artifact, iteration: int | None
    ) -> JudgedCompletions:
        filters = side.config.filters
        inputs = filter_inputs(side.config, side.sets, completions, self._grader)
        verdicts, _ = self._run.store.build(
            filter_stage.spec(filters, inputs).redone(self._run.redo_count(iteration, "filter")),
            lambda out: filter_stage.run(filters, inputs, out),
        )
        return JudgedCompletions(completions, verdicts)

    def _select(
        self, side: _Side, training: Training, judged: JudgedCompletions, iteration: int | None
    ) -> set[tuple[str, ...]]:
        inputs = select_inputs(side.config, side.sets, judged)
        spec = select_stage.spec(training.selection, inputs)
        rows, _ = self._run.store.build(
            spec.redone(self._run.redo_count(iteration, "select")),
            lambda out: select_stage.run(training.selection, inputs, out),
        )
        return {_key(row) for row in rows.rows(select_stage.row_type(training.selection))}


def _key(row: SftRow | DpoRow | GrpoRow) -> tuple[str, ...]:
    match row:
        case SftRow():
            return row.problem_id, str(row.attempt)
        case DpoRow():
            return row.problem_id, str(row.chosen_attempt), str(row.rejected_attempt)
        case GrpoRow():
            return (row.problem_id,)


def _differences(
    before: Mapping[str, set[tuple[str, ...]]], after: Mapping[str, set[tuple[str, ...]]]
) -> dict[str, dict[str, int]]:
    return {
        name: {
            "before": len(before[name]),
            "after": len(after[name]),
            "kept": len(before[name] & after[name]),
            "dropped": len(before[name] - after[name]),
            "new": len(after[name] - before[name]),
        }
        for name in before
    }


def describe(rescored: Sequence[Mapping[str, Any]]) -> str:
    """The differences in words."""
    lines = []
    for row in rescored:
        lines.append(f"iteration {row['iteration']}: {row['completions']:,} completions")
        for side in ("before", "after"):
            lines.append(f"  {side}: {row[side]['accepted']:,} accepted")
            for step in row[side]["funnel"]:
                through = f"{step['in']:,} -> {step['out']:,}"
                name = f"{step['filter']} ({step['mode']})"
                lines.append(f"    {name:<26} {through:<18} {counted(step['lost'])}".rstrip())
        for kind, rows in row["rows"].items():
            lines.append(
                f"  {kind} rows: {rows['before']:,} -> {rows['after']:,} "
                f"({rows['kept']:,} kept, {rows['dropped']:,} dropped, {rows['new']:,} new)"
            )
    return "\n".join(lines)
