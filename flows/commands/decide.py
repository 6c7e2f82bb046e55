"""`ratchet decide`: a person's word on the candidate that waits at a manual gate."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ratchet.visible import json_text, visible


def decide(
    name: Annotated[str, typer.Argument(help="A run that is suspended.")],
    word: Annotated[
        str, typer.Argument(help="yes promotes the candidate, no keeps the incumbent.")
    ],
    note: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "",
    store: Annotated[
        Path,
        typer.Option("--store", envvar="RATCHET_STORE", help="The folder of artifacts and runs."),
    ] = Path("ratchet-store"),
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Say yes or no to the candidate that a run with a manual gate waits on."""
    from ratchet.errors import InputError
    from ratchet.store.artifacts import Store
    from ratchet.store.ledger import Run

    if word not in ("yes", "no"):
        raise InputError(f"{word!r} is no decision; say yes or no")
    run = Run.open(Store(store), name)
    run.check_free()
    recorded = run.answer(word == "yes", getpass.getuser(), note)
    if as_json:
        sys.stdout.write(json_text(recorded) + "\n")
    else:
        typer.echo(visible(_told(name, word, recorded)))


def _told(name: str, word: str, recorded: dict[str, Any]) -> str:
    return (
        f"iteration {recorded['iteration']}: {word}, by {recorded['by']} "
        f"({recorded['numbers']['reason']}); go on with: ratchet resume {name}"
    )
