"""`ratchet init`: a commented config to start from."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.visible import json_text, visible

if TYPE_CHECKING:
    from flows.starters.write import Situation

FolderArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Where ratchet.toml goes; made if it is not there.")
]
DataOption = Annotated[
    Path | None, typer.Option(help="Your file of problems: JSONL, JSON, Parquet or CSV.")
]


def init(
    folder: FolderArgument,
    situation: Annotated[
        str, typer.Option("--for", metavar="WHAT", help="jsonl (your own file), gsm8k or math.")
    ] = "jsonl",
    data: DataOption = None,
    problem: Annotated[str | None, typer.Option(help="The file's column of problems.")] = None,
    answer: Annotated[str | None, typer.Option(help="Its column of reference answers.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The model: a checkpoint's folder or hub id.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Write a commented config to start from: for your own problems, GSM8K or MATH."""
    from flows.starters.data import look_at
    from flows.starters.model import DEFAULT_MODEL, look_at_model
    from flows.starters.write import config_text, new_config, run_name, write_config

    chosen = _situation(situation, data, problem, answer)
    file = new_config(folder)
    facts = look_at_model(model or DEFAULT_MODEL)
    own = look_at(data, problem, answer) if data else None
    write_config(file, config_text(run_name(folder), chosen, facts, own))
    notes = list(own.notes) if own else _without_data(situation, file)
    commands = [f"ratchet {verb} {shlex.quote(str(file))}" for verb in ("plan", "run")]
    if as_json:
        sys.stdout.write(json_text({"config": str(file), "notes": notes, "next": commands}) + "\n")
        return
    told = [f"wrote {file}", *notes, "Next:", *(f"  {command}" for command in commands)]
    typer.echo(visible("\n".join(told)))


def _situation(
    situation: str, data: Path | None, problem: str | None, answer: str | None
) -> Situation:
    from flows.starters.write import Situation
    from ratchet.errors import InputError

    known = [each.value for each in Situation]
    if situation not in known:
        raise InputError(f"--for {situation!r} is no situation; choose from {', '.join(known)}")
    if data and situation != Situation.JSONL:
        raise InputError(
            f"--data goes with --for jsonl; {situation} is loaded from the hub, and a local copy "
            "is named in the config, by `path` in each table of problems"
        )
    if (problem or answer) and not data:
        raise InputError("--problem and --answer name columns of a file; add --data FILE")
    return Situation(situation)


def _without_data(situation: str, file: Path) -> list[str]:
    if situation != "jsonl":
        return []
    return [f"it names no file of yours yet: see to the lines marked CHANGE FIRST in {file}"]
