"""`ratchet compare`: two checkpoints on the same problems, paired."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.standalone.options import (
    CHECKPOINT,
    AnswerColumnOption,
    BenchmarkOption,
    ConfigOption,
    DataOption,
    FormatOption,
    JsonOption,
    LimitOption,
    ProblemColumnOption,
    ProtocolOption,
    SeedOption,
    SettingsOption,
    ShotsOption,
    StoreOption,
    TrustOption,
    request_of,
)
from ratchet.visible import json_text, visible

if TYPE_CHECKING:
    from flows.standalone.prepare import EvalRequest

_BROKEN = 1
"""Exit code where nothing of one side could be graded."""


def compare(
    context: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help=f"The one side: {CHECKPOINT}.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other, which may be the better one.")],
    benchmark: BenchmarkOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
    protocol: ProtocolOption = None,
    shots: ShotsOption = None,
    settings: SettingsOption = None,
    seed: SeedOption = None,
    limit: LimitOption = None,
    problem_column: ProblemColumnOption = None,
    answer_column: AnswerColumnOption = None,
    answer_format: FormatOption = None,
    trust_remote_code: TrustOption = False,
    store: StoreOption = Path("ratchet-store"),
    as_json: JsonOption = False,
) -> None:
    """Say whether B is better than A, by how much, and how sure that is."""
    _compare((a, b), request_of(**context.params), store, as_json=as_json)


def _compare(names: tuple[str, str], wanted: EvalRequest, store: Path, *, as_json: bool) -> None:
    from flows.standalone.evaluator import open_evaluator
    from flows.standalone.pairing import compared, paired_lines
    from flows.standalone.prepare import prepare
    from ratchet.store.artifacts import Store

    prepared = prepare(Store(store), names, wanted)
    sides = [prepared.evaluations(name) for name in wanted.benchmarks]
    found = []
    with open_evaluator(Store(store), lora=prepared.needs_lora) as evaluator:
        for one, other in sides:
            found.append(compared(evaluator, one, other))
            if not as_json:
                typer.echo(visible("\n".join(paired_lines(found[-1]))))
    if as_json:
        sys.stdout.write(json_text([each.answer() for each in found]) + "\n")
    if any(each.broken for each in found):
        raise typer.Exit(_BROKEN)
