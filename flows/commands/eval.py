"""`ratchet eval`: a checkpoint, an adapter or a server on benchmarks; or recorded completions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    benchmark_options,
)
from ratchet.visible import json_text, visible

if TYPE_CHECKING:
    from flows.standalone.prepare import Wanted

_BROKEN = 1
"""Exit code where nothing could be graded."""


def evaluate(
    checkpoint: Annotated[str | None, typer.Argument(help=f"What to ask: {CHECKPOINT}.")] = None,
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
    aa: Annotated[
        bool, typer.Option("--aa", help="Put it to gate and guards against itself.")
    ] = False,
    completions: Annotated[
        Path | None, typer.Option(help="Score this file's completions; no checkpoint is asked.")
    ] = None,
    completion: Annotated[str, typer.Option(help="Its column of completions.")] = "completion",
    reference: Annotated[
        str, typer.Option(help="Its column of reference answers.")
    ] = "reference_answer",
    by: Annotated[str | None, typer.Option(help="Score each value of this column apart.")] = None,
    problem_id: Annotated[str | None, typer.Option(help="Its column of problem ids.")] = None,
    finish_reason: Annotated[str | None, typer.Option(help="Its column: stop or length.")] = None,
    store: StoreOption = Path("ratchet-store"),
    as_json: JsonOption = False,
) -> None:
    """Evaluate a checkpoint, adapter or server on benchmarks; what the store has is used."""
    from flows.standalone.prepare import Wanted

    wanted = Wanted(
        benchmarks=tuple(benchmark or ()),
        config=config,
        protocol=protocol,
        settings=tuple(settings or ()),
        seed=seed,
        trust_remote_code=trust_remote_code,
        options=benchmark_options(
            data=data,
            shots=shots,
            problem_column=problem_column,
            answer_column=answer_column,
            answer_format=answer_format,
            limit=limit,
        ),
    )
    _evaluate(_named(checkpoint), wanted, store, aa=aa, as_json=as_json)


def _named(checkpoint: str | None) -> str:
    from ratchet.errors import InputError

    if checkpoint is None:
        raise InputError(f"nothing to evaluate is named: give {CHECKPOINT}, or --completions FILE")
    return checkpoint


def _evaluate(name: str, wanted: Wanted, store: Path, *, aa: bool, as_json: bool) -> None:
    from flows.standalone.against_itself import check_drawn_by_chance, put_to_gate
    from flows.standalone.evaluator import open_evaluator, result_of
    from flows.standalone.prepare import prepare
    from ratchet.store.artifacts import Store

    place = Store(store)
    prepared = prepare(place, [name], wanted)
    evaluations = [each for name in wanted.benchmarks for each in prepared.evaluations(name)]
    if aa:
        for evaluation in evaluations:
            check_drawn_by_chance(evaluation)
    results = []
    with open_evaluator(place, lora=prepared.needs_lora) as evaluator:
        for evaluation in evaluations:
            if aa:
                results.append(put_to_gate(place, evaluator, evaluation, prepared))
            else:
                results.append(result_of(evaluator.measure(evaluation)))
            if not as_json:
                _say(results[-1], aa=aa)
    if as_json:
        sys.stdout.write(json_text(results) + "\n")
    if any(result["metrics"].get("state") == "grader_broken" for result in results):
        raise typer.Exit(_BROKEN)


def _say(result: dict[str, Any], *, aa: bool) -> None:
    from flows.standalone.against_itself import told
    from flows.standalone.tables import result_lines

    typer.echo(visible("\n".join(told(result) if aa else result_lines(result))))
