"""What a run has to say: one JSON object, and the table that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.config import stored_config
from flows.reports.exploration import exploration_line, shown_exploration
from flows.reports.figures import decision, percent
from flows.reports.funnel import funnel_lines, verifier_audit
from flows.reports.gate_report import gate_lines, lines_of_test
from flows.reports.sets_report import overlap_lines, shown_overlaps
from ratchet.store.artifacts import MANIFEST, Manifest, Store, load_manifest
from ratchet.store.ledger import LedgerEntry, Run, StepKey, reached_iterations
from ratchet.visible import visible

_TABLE_WIDTH = 132
_CHAINED = ("select", "train")
"""Stages that an iteration may have several of."""
_INTERVAL = ("mean", "low", "high", "n")


def show(run: Run) -> dict[str, Any]:
    """The run as programs read it (`ratchet show RUN --json`).

    Read from the ledger and the manifests alone; nothing is checked or made.
    """
    entries = run.entries()
    manifests = {step: _manifest(run.store, entry) for step, entry in entries.items()}
    status = run.status()

    def measured(stage: str, subject: str = "") -> dict[str, Any] | None:
        return _interval(manifests.get(StepKey(None, stage, subject).step))

    return {
        "run": run.name,
        "state": status["state"],
        "step": status["step"],
        "reason": status["reason"],
        "engine_starts": status["engine_starts"],
        "wall_seconds": status["wall_seconds"],
        "overlap": shown_overlaps(entries, manifests),
        "aa": _gate_told(manifests.get(StepKey(None, "aa").step)),
        "base": {"dev": measured("eval")},
        "iterations": [
            _iteration(index, entries, manifests, run, _Doing.of(index, status))
            for index in _begun_iterations(entries, status)
        ],
        "test": {
            **{
                f"{role}{name}": measured("test", f"{role}{subject}")
                for role, name, subject in _TEST
            },
            "readings": len(run.spent.readings()),
        },
        "outcome": _outcome(manifests.get(StepKey(None, "test", "outcome").step)),
        "alpha": [asdict(reservation) for reservation in run.spent.reservations()],
    }


_TEST = [
    (role, name, subject)
    for name, subject in (("", ""), ("_sampled", "/sampled"))
    for role in ("base", "final")
]
_GATE = (
    "verdict",
    "promoted",
    "reason",
    "test",
    "p",
    "level",
    "difference",
    "low",
    "high",
    "needs_problems",
    "needs_completions",
    "looks",
    "guards",
    "regressed",
    "regressions",
    "answer",
)


def _gate_told(manifest: Manifest | None) -> dict[str, Any] | None:
    """A decision and its numbers; None where there is none yet."""
    if manifest is None:
        return None
    told = {key: manifest.metrics.get(key) for key in _GATE}
    if told["verdict"] is None:  # of a gate before there were three verdicts
        told["verdict"] = "promoted" if told["promoted"] else "kept"
    sides = {side: _figures(manifest.metrics.get(side)) for side in ("incumbent", "candidate")}
    return {**told, **sides}


def _outcome(manifest: Manifest | None) -> dict[str, Any] | None:
    return dict(manifest.metrics) if manifest else None


def _manifest(store: Store, entry: LedgerEntry) -> Manifest | None:
    path = store.path_of(entry.identity) / MANIFEST
    return load_manifest(path) if path.exists() else None


def _interval(manifest: Manifest | None) -> dict[str, Any] | None:
    return _figures(manifest.metrics) if manifest else None


def _figures(metrics: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The accuracy among an evaluation's metrics, with its interval."""
    if not metrics:
        return None
    interval = {key: metrics[key] for key in _INTERVAL}
    return {**interval, "k": metrics.get("k", 1), "unscored": metrics.get("unscored", 0)}


def _metric(manifest: Manifest | None, key: str, default: Any = 0) -> Any:
    return manifest.metrics.get(key, default) if manifest else default


_WORDS = {
    "sample": "sampling",
    "filter": "filtering",
    "explore": "exploring",
    "select": "selecting",
    "train": "training",
    "eval": "evaluating",
    "gate": "at the gate",
}


@dataclass(frozen=True)
class _Doing:
    """What a run that has not finished does, or did last, in an iteration; empty elsewhere."""

    state: str = ""
    reason: str = ""

    @classmethod
    def of(cls, index: int, status: Mapping[str, Any]) -> _Doing:
        iteration, _, name = status["step"].partition("/")
        stage = name.partition("/")[0]
        if iteration != str(index) or status["state"] == "done":
            return cls()
        if status["state"] == "running":
            return cls(_WORDS[stage], _WORDS[stage])
        state = f"{status['state']} at {stage}"
        return cls(state, f"{state}: {status['reason']}" if status["reason"] else state)


def _begun_iterations(entries: Mapping[str, LedgerEntry], status: Mapping[str, Any]) -> list[int]:
    """Those that have an entry, and the one that the run is at."""
    at = status["step"].partition("/")[0]
    begun = {int(at)} if at.isdigit() and status["state"] != "done" else set()
    return sorted(begun.union(reached_iterations(entries)))


def _iteration(
    index: int,
    entries: Mapping[str, LedgerEntry],
    manifests: Mapping[str, Manifest | None],
    run: Run,
    doing: _Doing,
) -> dict[str, Any]:
    def at(stage: str) -> Manifest | None:
        return manifests.get(StepKey(index, stage).step)

    own = {
        e.key.name: e.identity
        for e in entries.values()
        if e.iteration == index and (not e.key.subject or e.stage in _CHAINED)
    }
    trainings = _trainings(index, entries, manifests)
    accepted = _metric(at("filter"), "accepted")
    decided = _gate_told(at("gate"))
    return {
        "iteration": index,
        "sampled": _metric(at("sample"), "completions"),
        "accepted": accepted,
        "train_rows": sum(training["rows"] for training in trainings if training["trained"]),
        "tokens": _metric(at("sample"), "tokens"),
        "dev": (decided and decided["candidate"]) or _interval(at("eval")),
        "promoted": _metric(at("gate"), "promoted", False),
        "verdict": decided["verdict"] if decided else None,
        "gate": decided,
        "exploration": shown_exploration(e.metrics) if (e := at("explore")) else None,
        "state": doing.state or "done",
        "reason": doing.reason or _reason(run, index, at("gate"), trainings, accepted),
        "funnel": _metric(at("filter"), "reasons", {}),
        "funnel_steps": _metric(at("filter"), "funnel", []),
        "trainings": trainings,
        "verifier": verifier_audit(filtered.metrics) if (filtered := at("filter")) else {},
        "suspicious_references": _metric(at("filter"), "suspicious_references"),
        "artifacts": own,
    }


def _trainings(
    index: int, entries: Mapping[str, LedgerEntry], manifests: Mapping[str, Manifest | None]
) -> list[dict[str, Any]]:
    """What each selection of an iteration made of the judged completions, in the chain's order."""
    found = []
    for step, entry in entries.items():
        manifest = manifests[step]
        if entry.iteration == index and entry.stage == "select" and manifest:
            trained = replace(entry.key, stage="train").step
            found.append(
                {
                    "kind": manifest.settings["kind"],
                    "rows": manifest.metrics["rows"],
                    "trained": trained in entries,
                    "steps": _metric(manifests.get(trained), "steps"),
                    "best_step": _metric(manifests.get(trained), "best_step", None),
                    "fates": manifest.metrics.get("fates", {}),
                    "groups": manifest.metrics.get("groups", {}),
                }
            )
    return found


def _reason(
    run: Run,
    index: int,
    gate: Manifest | None,
    trainings: Sequence[Mapping[str, Any]],
    accepted: int,
) -> str:
    """Why an iteration ended as it did."""
    if gate:
        return str(gate.metrics["reason"])
    if not trainings or any(training["trained"] for training in trainings):
        return "not finished"
    # Read only where it is needed: the config of an old run may no longer parse.
    links = stored_config(run.config, run.name).trainings(index)
    if len(trainings) < len(links):
        return "not finished"
    lacking = ", ".join(
        f"{training['rows']} {training['kind']} rows, min_rows={link.trainer.min_rows}"
        for training, link in zip(trainings, links, strict=True)
    )
    return f"nothing trained: {accepted} accepted, {lacking}"


def _title(shown: Mapping[str, Any]) -> str:
    at = f" at {shown['step']}" if shown["step"] and shown["state"] != "done" else ""
    return visible(f"run {shown['run']}: {shown['state']}{at}")


def _wide_console() -> Console:
    """A console on stdout in which a run's table needs no line breaks."""
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, _TABLE_WIDTH)
    return console


def print_run(shown: Mapping[str, Any], console: Console | None = None) -> None:
    """The run's table on stdout."""
    console = console or _wide_console()
    table = Table(title=Text(_title(shown)), title_justify="left")
    for name in ("iteration", "sampled", "accepted", "trained rows", "dev accuracy", "decision"):
        table.add_column(name, justify="left" if name == "decision" else "right", no_wrap=True)
    table.add_row("base", "", "", "", percent(shown["base"]["dev"]), "")
    for row in shown["iterations"]:
        counts = (str(row[key]) for key in ("iteration", "sampled", "accepted", "train_rows"))
        table.add_row(*counts, percent(row["dev"]), Text(visible(decision(row))))
    console.print(table)
    for line in overlap_lines(shown["overlap"]):
        console.print(visible(line), markup=False)
    for row in shown["iterations"]:
        explored = [f"  {exploration_line(row['exploration'])}"] if row["exploration"] else []
        for line in [*funnel_lines(row), *explored]:
            console.print(visible(line), markup=False)
    for line in [*gate_lines(shown), *lines_of_test(shown)]:
        console.print(visible(line), markup=False)
    starts, seconds = shown["engine_starts"], shown["wall_seconds"]
    console.print(f"{starts} engine start{'s' if starts != 1 else ''}, {seconds:,.0f} s of work")
    if shown["reason"]:
        console.print(visible(f"stopped: {shown['reason']}"), markup=False)


def print_runs(store_root: Path, runs: list[Run], console: Console | None = None) -> None:
    """All runs of a store, one to a line."""
    console = console or _wide_console()
    table = Table(title=Text(visible(f"runs in {store_root}")), title_justify="left")
    for name in ("run", "state", "iterations", "test base", "test final"):
        table.add_column(name)
    for run in runs:
        shown = show(run)
        table.add_row(
            Text(visible(run.name)),
            shown["state"],
            str(len(shown["iterations"])),
            percent(shown["test"]["base"]),
            percent(shown["test"]["final"]),
        )
    console.print(table)
