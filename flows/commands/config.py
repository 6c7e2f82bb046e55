"""`ratchet config`: what a run's config may hold, from the classes that read it."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from ratchet.visible import json_text

_MOST_COLUMNS = 100

SectionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[SECTION]",
        help="A table, a kind or a setting: trainer, trainer.dpo, filters.length, group_size.",
    ),
]


def config(
    section: SectionArgument = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="The whole as Markdown: docs/config.md.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Show the settings of a run's config: types, defaults, and what each does."""
    from flows.config import RunConfig
    from flows.reference.find import find_sections
    from flows.reference.pages import as_json as json_page
    from flows.reference.pages import as_markdown, as_text, overview
    from flows.reference.sections import describe
    from ratchet.errors import InputError

    everything = describe(RunConfig)
    if markdown and (section or as_json):
        raise InputError("--markdown writes the whole page; leave SECTION and --json out")
    if markdown:
        sys.stdout.write(as_markdown(everything))
        return
    shown = find_sections(everything, section) if section else everything
    if as_json:
        sys.stdout.write(json_text(json_page(shown)) + "\n")
        return
    width = min(shutil.get_terminal_size((_MOST_COLUMNS, 24)).columns, _MOST_COLUMNS)
    typer.echo(as_text(shown, everything, width))
    if not section:
        typer.echo("\nOne section, by `ratchet config SECTION`:\n" + overview(everything, width))
