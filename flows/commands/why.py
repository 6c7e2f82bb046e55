"""`ratchet why`: one problem's story in a run, completion by completion, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import pyarrow.parquet as pq

from filters.selection.stage import row_type
from flows.config import RunConfig, stored_config
from flows.reports import sets_report
from flows.reports.lineage import artifact_of
from flows.reports.reason_words import in_words
from ratchet.errors import InputError
from ratchet.problems.sets import load_set
from ratchet.records import Completion, DpoRow, EvalRow, Problem, RowT, SftRow, Verdict, from_table
from ratchet.store.artifacts import Artifact
from ratchet.store.ledger import LedgerEntry, Run, StepKey

_SHOWN = 600
"""Characters of a completion that are shown, unless all are asked for."""


def why(run: Run, problem_id: str) -> dict[str, Any]:
    """The problem, its group in each iteration with verdicts and use, and its evaluations.

    Raises:
        InputError: if the run has no such problem; names that are near are listed.
    """
    config = stored_config(run.config, run.name)
    name, problem = _find(run, config, problem_id)
    entries = run.entries()
    return {
        "run": run.name,
        "set": name,
        "problem": {
            "problem_id": problem.problem_id,
            "problem": problem.problem,
            "reference_answer": problem.reference_answer,
            "solution": problem.solution,
        },
        "overlap": _overlap(run, entries, name, problem_id),
        "iterations": [
            _iteration(run, config, entries, entry, problem_id)
            for entry in entries.values()
            if entry.stage == "sample" and name == "train"
        ],
        "evaluations": [
            {"step": entry.step, **_plain_eval(row)}
            for entry in _evaluations(entries)
            if name != "train"
            for row in _rows(artifact_of(run, entry), EvalRow, problem_id)
            if row.benchmark == name
        ],
    }


def _evaluations(entries: Mapping[str, LedgerEntry]) -> list[LedgerEntry]:
    """Each draw once, where it stood first: an incumbent's is used again."""
    drawn = [entry for entry in entries.values() if entry.stage in ("eval", "test")]
    first = {entry.identity: entry for entry in reversed(drawn)}
    return [entry for entry in drawn if first[entry.identity] is entry]


def _find(run: Run, config: RunConfig, problem_id: str) -> tuple[str, Problem]:
    known: list[str] = []
    for name, source in config.sources().items():
        problems = load_set(run.store, name, source).by_id()
        if problem_id in problems:
            return name, problems[problem_id]
        known += problems
    near = get_close_matches(problem_id, known, n=5, cutoff=0.3) or known[:5]
    raise InputError(
        f"run {run.name!r} has no problem {problem_id!r} among its {len(known)}; near: "
        f"{', '.join(near)}"
    )


def _overlap(run: Run, entries: Mapping[str, LedgerEntry], name: str, problem_id: str) -> list[str]:
    """Where other sets hold it, or nearly so, and what came of that."""
    entry = entries.get(StepKey(None, sets_report.STAGE, name).step)
    summary = artifact_of(run, entry).metrics if entry else {"overlaps": []}
    return [
        f"{'dropped' if summary['on_overlap'] == 'drop' else 'kept'}: {pair['held_by']} holds it "
        f"as {pair['other_id']} ({pair['kind']}, share {pair['share']:.2f})"
        for pair in summary["overlaps"]
        if pair["problem_id"] == problem_id
    ]


def _rows(artifact: Artifact, kind: type[RowT], problem_id: str) -> list[RowT]:
    """One problem's rows, read without the others."""
    wanted = [("problem_id", "=", problem_id)]
    return [
        row
        for file in artifact.part_files()
        for row in from_table(pq.read_table(file, filters=wanted), kind)
    ]


def _iteration(
    run: Run,
    config: RunConfig,
    entries: Mapping[str, LedgerEntry],
    sampled: LedgerEntry,
    problem_id: str,
) -> dict[str, Any]:
    completions = _rows(artifact_of(run, sampled), Completion, problem_id)
    verdicts: dict[int, list[Verdict]] = {c.attempt: [] for c in completions}
    if (judged := entries.get(StepKey(sampled.iteration, "filter").step)) is not None:
        for verdict in _rows(artifact_of(run, judged), Verdict, problem_id):
            verdicts[verdict.attempt].append(verdict)
    used = _used(run, config, entries, sampled, problem_id)
    return {
        "iteration": sampled.iteration,
        "group": [
            {
                "attempt": completion.attempt,
                "completion": completion.completion,
                "finish_reason": completion.finish_reason,
                "num_tokens": completion.num_tokens,
                "verdicts": [_plain(v) for v in verdicts[completion.attempt]],
                "used": used.get(completion.attempt, []),
            }
            for completion in completions
        ],
        "problem_used": used.get(None, []),
    }


def _used(
    run: Run,
    config: RunConfig,
    entries: Mapping[str, LedgerEntry],
    sampled: LedgerEntry,
    problem_id: str,
) -> dict[int | None, list[str]]:
    """attempt -> what it was used for; None stands for the problem as a whole."""
    used: dict[int | None, list[str]] = {}
    for training in config.trainings():
        entry = entries.get(StepKey(sampled.iteration, "select", training.subject).step)
        if entry is None:
            continue
        trained = StepKey(sampled.iteration, "train", training.subject).step in entries
        done = "trained on" if trained else "selected, not trained on,"
        for row in _rows(artifact_of(run, entry), row_type(training.selection), problem_id):
            for attempt, role in _roles(row):
                used.setdefault(attempt, []).append(f"{done} {role}")
    return used


def _roles(row: Any) -> Iterator[tuple[int | None, str]]:
    match row:
        case SftRow(attempt=-1):
            yield None, "as its given solution (sft)"
        case SftRow():
            yield row.attempt, "as an sft row"
        case DpoRow():
            yield row.chosen_attempt, f"as chosen over attempt {row.rejected_attempt} (dpo)"
            yield row.rejected_attempt, f"as rejected against attempt {row.chosen_attempt} (dpo)"
        case _:
            yield None, "as a problem (grpo)"


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {
        "filter": verdict.filter,
        "accepted": verdict.accepted,
        "reason": verdict.reason,
        "words": in_words(verdict),
        "reward": verdict.reward,
        "answer": verdict.answer,
        "note": verdict.note,
    }


def _plain_eval(row: EvalRow) -> dict[str, Any]:
    return {
        "completion": row.completion,
        "answer": row.answer,
        "correct": row.correct,
        "reason": row.reason,
    }


def describe(story: Mapping[str, Any], *, full: bool) -> str:
    """The story for people; completions are shortened unless `full`."""
    problem = story["problem"]
    lines = [
        f"problem {problem['problem_id']} of {story['set']}",
        *_indented(problem["problem"], full),
        f"reference answer: {problem['reference_answer']}",
        *story["overlap"],
    ]
    for iteration in story["iterations"]:
        lines.append(f"iteration {iteration['iteration']}: {len(iteration['group'])} completions")
        lines += [f"  the problem was {use}" for use in iteration["problem_used"]]
        for completion in iteration["group"]:
            lines += _told(completion, full)
    for row in story["evaluations"]:
        verdict = {True: "correct", False: "wrong", None: "not graded"}[row["correct"]]
        lines.append(f"{row['step']}: {verdict} ({row['reason']}), answer {row['answer']!r}")
        lines += _indented(row["completion"], full)
    return "\n".join(lines)


def _told(completion: Mapping[str, Any], full: bool) -> list[str]:
    used = "; ".join(completion["used"]) or "not trained on"
    ended = f"{completion['num_tokens']} tokens, ended by {completion['finish_reason']}"
    lines = [f"  attempt {completion['attempt']} ({ended}): {used}"]
    lines += [
        f"    {verdict['filter']}: {'accepted' if verdict['accepted'] else 'rejected'}, "
        f"{verdict['words']}"
        for verdict in completion["verdicts"]
    ]
    return lines + [f"    {line}" for line in _indented(completion["completion"], full)]


def _indented(text: str, full: bool) -> list[str]:
    cut = text if full or len(text) <= _SHOWN else f"{text[:_SHOWN]} … ({len(text)} characters)"
    return [f"  | {line}" for line in (cut or "(empty)").rstrip("\n").split("\n")]
