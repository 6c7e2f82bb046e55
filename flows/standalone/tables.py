"""One evaluation's figures in words, with how they came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flows.reports.figures import share

_SHARES = ("truncated", "no_answer", "language")


def result_lines(result: Mapping[str, Any]) -> list[str]:
    """One evaluation: its figures, by level, and how they came about."""
    metrics = result["metrics"]
    there = " (from the store)" if result["reused"] else ""
    lines = [f"{result['checkpoint']} on {result['benchmark']}{there}"]
    if result["test_reading"]:
        lines.append(f"  {test_reading(result['test_reading'])}")
    if metrics["state"] == "grader_broken":
        lines.append(broken(metrics))
    lines += [f"  {name:<12} {text}" for name, text in _figures(metrics)]
    return [*lines, f"  {'protocol':<12} {protocol_line(result['protocol'])}"]


def test_reading(number: int) -> str:
    """That a run's test set was measured, and how often by now."""
    return (
        f"reading {number} of the run's test set: what is chosen by its figures is no longer "
        "judged on unseen problems"
    )


def broken(metrics: Mapping[str, Any]) -> str:
    """Why there is no figure."""
    reasons = ", ".join(f"{count:,} {name}" for name, count in metrics["reasons"].items())
    return (
        f"  grader broken: not one of {metrics['completions']:,} completions could be graded "
        f"({reasons}), so there is no accuracy; see what the engine and the verifier say of them"
    )


def recorded_line(metrics: Mapping[str, Any]) -> str:
    """One group of recorded completions."""
    if metrics["state"] == "grader_broken":
        return broken(metrics).strip()
    told = [f"{name} {text}" for name, text in _figures(metrics) if not name.startswith(" ")]
    return " · ".join(told)


def _figures(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    k = metrics["k"]
    open_ones = f", {metrics['unscored']:,} not graded" if metrics["unscored"] else ""
    yield "accuracy", f"{share(metrics)}  n={metrics['n']:,}, K={k}{open_ones}"
    if k > 1:
        for each, figure in metrics["pass_at_k"].items():
            if each != "1":
                yield f"pass@{each}", share(figure)
        yield f"maj@{k}", share(metrics["maj_at_k"])
        if "best_of_k" in metrics:
            yield f"best of {k}", f"{share(metrics['best_of_k'])}  by mean logprob of a token"
    for name in _SHARES:
        if name in metrics:
            yield name.replace("_", " "), share(metrics[name])
    if "length" in metrics:
        yield "length", _tokens(metrics["length"])
    for title, groups in (("level", metrics["by_level"]), ("", metrics["by_subject"])):
        for name, figure in groups.items():
            yield f"  {title} {name}".rstrip(), f"{share(figure)}  n={figure['n']:,}"


def _tokens(figure: Mapping[str, Any]) -> str:
    if figure["mean"] is None:
        return "–"
    within = "" if figure["low"] is None else f" [{figure['low']:,.0f}, {figure['high']:,.0f}]"
    return f"{figure['mean']:,.0f}{within} tokens"


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """How a figure came about, in one line."""
    seed = "" if protocol["seed"] is None else f", seed {protocol['seed']}"
    shots = f", shots {' '.join(protocol['shots'])}" if protocol["shots"] else ""
    return (
        f"{protocol['name'] or 'of the config'}: prompt {protocol['prompt']}{shots}, temperature "
        f"{protocol['temperature']:g}, K {protocol['k']}{seed}, at most {protocol['max_tokens']:,} "
        f"tokens, answers {protocol['answer_format']}, grader {protocol['grader']}, engine "
        f"{protocol['engine']}"
    )
