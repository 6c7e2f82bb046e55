"""A run's results as artifacts in Prefect's UI."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.reports.figures import decision, percent
from flows.reports.run_report import show
from flows.reports.sets_report import overlap_lines
from flows.session import Session

P = ParamSpec("P")


def _key(*parts: object) -> str:
    """Prefect takes lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(str(part) for part in parts).lower()).strip("-")


def _or_told(publish: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """What Prefect can't take is told; the run, whose results are on disk, goes on."""

    @wraps(publish)
    def told(session: Session, *more: P.args, **named: P.kwargs) -> None:
        try:
            publish(session, *more, **named)
        except Exception as error:  # noqa: BLE001 - Prefect's client may raise anything
            session.display.line(
                f"no artifact for Prefect's UI ({type(error).__name__}: {error}); the run goes on"
            )

    return told


@_or_told
def publish_iteration(session: Session, iteration: int) -> None:
    """One table per iteration: what was sampled, accepted, trained, measured and decided."""
    shown = show(session.run)
    row = shown["iterations"][iteration]
    table = [
        {"what": "sampled", "value": str(row["sampled"])},
        *(
            {"what": f"{rule}: {reason}", "value": str(count)}
            for rule, reasons in row["funnel"].items()
            for reason, count in reasons.items()
        ),
        {"what": "accepted", "value": str(row["accepted"])},
        *(
            {"what": f"{training['kind']}: {fate}", "value": str(count)}
            for training in row["trainings"]
            for fate, count in (training["fates"] or training["groups"]).items()
        ),
        {"what": "trained rows", "value": str(row["train_rows"])},
        {"what": "dev accuracy", "value": percent(row["dev"])},
        {"what": "decision", "value": row["verdict"] or "none"},
        {"what": "reason", "value": row["reason"]},
    ]
    create_table_artifact(
        key=_key(session.run.name, "iteration", iteration),
        table=table,
        description=f"Run {session.run.name}, iteration {iteration}",
    )


@_or_told
def publish_outcome(session: Session) -> None:
    """The whole run in one Markdown table."""
    shown = show(session.run)
    lines = [
        f"# Run {shown['run']}",
        "",
        "| iteration | sampled | accepted | trained rows | dev accuracy | decision |",
        "|---|---|---|---|---|---|",
        f"| base | | | | {percent(shown['base']['dev'])} | |",
    ]
    for row in shown["iterations"]:
        lines.append(
            f"| {row['iteration']} | {row['sampled']} | {row['accepted']} | {row['train_rows']} "
            f"| {percent(row['dev'])} | {decision(row)} |"
        )
    lines += ["", *(f"{line}  " for line in overlap_lines(shown["overlap"]))]
    test = shown["test"]
    lines += ["", f"Test: base {percent(test['base'])}, final {percent(test['final'])}."]
    if shown["outcome"]:
        lines += ["", shown["outcome"]["sentence"]]
    create_markdown_artifact(key=_key(session.run.name, "outcome"), markdown="\n".join(lines))
