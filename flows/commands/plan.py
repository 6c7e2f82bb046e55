"""`ratchet plan`: what a config would do, what is there already, and what it may cost.

Nothing is sampled, trained or fetched: it works without network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evals.config import looks_of
from filters.selection.stage import rows_per_problem
from flows.config import RunConfig, dump_config
from flows.preflight import preflight
from flows.reports.power_report import power_lines, power_of
from flows.reports.sets_report import overlap_lines
from ratchet.policy import base_policy
from ratchet.problems.config import ProblemSource
from ratchet.problems.coverage import coverage_warnings
from ratchet.problems.sets import ProblemSet
from ratchet.store.artifacts import MANIFEST, Manifest, Store, load_manifest
from ratchet.store.ledger import Run


@dataclass(frozen=True)
class Forecast:
    """Tokens and seconds of one iteration, from what earlier runs in this store measured."""

    tokens_per_completion: float
    tokens_per_second: float
    based_on: int
    """Number of sample artifacts that the two ratios were taken over."""


def plan(config: RunConfig, store: Store | None, name: str) -> dict[str, Any]:
    """The plan as one JSON object.

    Raises:
        InputError: where a run would be refused, as far as that can be told without network.
    """
    with _checked(store) as checked:
        sets = preflight(dump_config(config), name, checked, fetch=False)
    sizes = {name: _size(source, sets.get(name)) for name, source in config.sources().items()}
    return {
        "name": name,
        "model": _model(config),
        "engine": config.engine.kind,
        "problems": sizes,
        "overlap": {name: each.overlap for name, each in sets.items() if each.overlap},
        "warnings": coverage_warnings({name: each.problems for name, each in sets.items()}),
        "per_iteration": _per_iteration(config, sizes),
        "power": power_of(config, {name: size["count"] for name, size in sizes.items()}),
        "iterations": config.iterations,
        "patience": config.patience,
        "finished_steps": _finished(store, name),
        "forecast": _forecast(config, store, sizes),
    }


@contextmanager
def _checked(store: Store | None) -> Iterator[Store]:
    """The store that problem sets are read into to check them; one for the while if none is."""
    if store:
        yield store
        return
    with TemporaryDirectory(prefix="ratchet-plan-") as folder:
        yield Store(Path(folder))


def _size(source: ProblemSource, loaded: ProblemSet | None) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": source.kind, "split": getattr(source, "split", None)}
    if loaded is None:
        return {
            **described,
            "count": getattr(source, "limit", None),
            "note": "fetched from the hub",
        }
    return {**described, "count": len(loaded.problems), "skipped": dict(loaded.skipped)}


def _model(config: RunConfig) -> dict[str, Any]:
    policy = base_policy(config.model)
    local = Path(policy.model).is_dir()
    return {
        "path": policy.model,
        "revision": policy.revision,
        "where": "local" if local else "fetched from the hub",
    }


def _per_iteration(config: RunConfig, sizes: dict[str, Any]) -> dict[str, Any]:
    def times(count: int | None, factor: int) -> int | None:
        return None if count is None else count * factor

    completions = times(sizes["train"]["count"], config.sampler.group_size)
    return {
        "sampled_completions": completions,
        "sampled_tokens_at_most": times(completions, config.sampler.max_tokens),
        "eval_completions_at_most": {
            name: times(sizes[name]["count"], 2 * count) for name, count in _drawn(config).items()
        },
        "trained_rows_at_most": {
            training.label: times(sizes["train"]["count"], rows_per_problem(training.selection))
            for training in config.trainings()
        },
    }


def _drawn(config: RunConfig) -> dict[str, int]:
    """Completions of each problem that one side of a decision may have: all of dev's looks."""
    guards = (guard for guard in config.guards if guard.problems is not None)
    return {
        "dev": looks_of(config.gate, config.eval)[-1],
        **{guard.name: guard.drawn(config.eval) for guard in guards},
    }


def _finished(store: Store | None, name: str) -> list[str]:
    return list(Run(store, name).entries()) if store else []


def _forecast(
    config: RunConfig, store: Store | None, sizes: dict[str, Any]
) -> dict[str, Any] | None:
    """Sampling time of one iteration; None where this store has measured nothing like it yet."""
    measured = _measured(config, store) if store else None
    count = sizes["train"]["count"]
    if not measured or count is None:
        return None
    tokens = count * config.sampler.group_size * measured.tokens_per_completion
    return {
        "sampled_tokens": round(tokens),
        "sample_seconds": round(tokens / measured.tokens_per_second),
        "based_on_sample_artifacts": measured.based_on,
    }


def _measured(config: RunConfig, store: Store) -> Forecast | None:
    """By the samples that an engine of the same kind drew of the same model, trained or not.

    Seconds are of an artifact's last attempt, so the tokens beside them are that attempt's too.
    """
    policies = _policies(config, store)
    metrics = [
        sample.metrics
        for sample in _manifests(store, "sample")
        if sample.settings["engine"]["kind"] == config.engine.kind
        and sample.inputs["policy"] in policies
        and sample.metrics["tokens_per_second"]
    ]
    if not metrics:
        return None
    tokens = sum(m["tokens"] for m in metrics)
    completions = sum(m["completions"] for m in metrics)
    seconds = sum(m["work_seconds"] for m in metrics)
    timed_tokens = sum(m["tokens_per_second"] * m["work_seconds"] for m in metrics)
    return Forecast(tokens / completions, timed_tokens / seconds, len(metrics))


def _policies(config: RunConfig, store: Store) -> set[str]:
    """The fingerprints of the base model and of all that was trained from it."""
    found = {base_policy(config.model).fingerprint}
    trained = [(each.inputs["start"], each.fingerprint) for each in _manifests(store, "train")]
    while new := {made for start, made in trained if start in found} - found:
        found |= new
    return found


def _manifests(store: Store, stage: str) -> Iterable[Manifest]:
    return [load_manifest(path) for path in store.root.glob(f"artifacts/{stage}-*/{MANIFEST}")]


def describe(planned: dict[str, Any]) -> str:
    """The plan in words."""
    model, each = planned["model"], planned["per_iteration"]
    lines = [
        f"run {planned['name']}: up to {planned['iterations']} iterations, "
        f"stops after {planned['patience']} without promotion",
        f"model     {model['path']} ({model['where']})",
        f"engine    {planned['engine']}",
    ]
    for name, size in planned["problems"].items():
        count = "all" if size["count"] is None else size["count"]
        note = f", {size['note']}" if "note" in size else ""
        skipped = f", skipped: {size['skipped']}" if size.get("skipped") else ""
        lines.append(
            f"{name:<9} {count} problems, {size['kind']} {size['split'] or ''}{note}{skipped}"
        )
    lines += [f"overlap   {line}" for line in _overlap_told(planned)]
    lines += [f"warning   {warning}" for warning in planned["warnings"]]
    lines.append("each iteration")
    lines.append(
        f"  sample  {_count(each['sampled_completions'])} completions, "
        f"at most {_count(each['sampled_tokens_at_most'])} tokens"
    )
    for name, count in each["trained_rows_at_most"].items():
        lines.append(f"  train   {name}: at most {_count(count)} rows")
    for name, count in each["eval_completions_at_most"].items():
        lines.append(f"  eval    at most {_count(count)} completions on {name}, both sides")
    lines += power_lines(planned["power"])
    lines.append(_forecast_line(planned["forecast"]))
    done = planned["finished_steps"]
    lines.append(
        f"finished  {len(done)} steps: {', '.join(done)}" if done else "finished  nothing yet"
    )
    return "\n".join(lines)


def _overlap_told(planned: dict[str, Any]) -> list[str]:
    """What the sets share; a set that is not here yet is compared when the run starts."""
    here = list(overlap_lines(planned["overlap"]))
    absent = [name for name, size in planned["problems"].items() if "note" in size]
    if absent:
        return [*here, f"not compared yet: {', '.join(absent)}"]
    return here or ["none found"]


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _forecast_line(forecast: dict[str, Any] | None) -> str:
    if not forecast:
        return "forecast  none: this engine has sampled nothing of this model in this store yet"
    return (
        f"forecast  about {forecast['sampled_tokens']:,} tokens and "
        f"{forecast['sample_seconds']:,} s of sampling an iteration, by "
        f"{forecast['based_on_sample_artifacts']} earlier samples of this model by this engine"
    )
