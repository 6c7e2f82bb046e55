"""`ratchet eval`: a checkpoint, an adapter or a server on benchmarks; or recorded completions."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
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
    known_format,
    request_of,
)
from ratchet.visible import json_text, visible

if TYPE_CHECKING:
    from flows.standalone.prepare import EvalRequest

_BROKEN = 1
"""Exit code where nothing could be graded."""
_OF_A_CHECKPOINT = {
    "checkpoint": "CHECKPOINT",
    "benchmark": "--benchmark",
    "data": "--data",
    "config": "--config",
    "protocol": "--protocol",
    "shots": "--shots",
    "settings": "--set",
    "seed": "--seed",
    "limit": "--limit",
    "answer_column": "--answer-column",
    "aa": "--aa",
}
"""What says nothing of recorded completions: parameters by their options."""


def evaluate(
    context: typer.Context,
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
    if completions is not None:
        _refuse_beside_completions(context.params)
        columns = {
            "completion": completion,
            "reference": reference,
            "by": by,
            "problem_id": problem_id,
            "finish_reason": finish_reason,
            "problem": problem_column,
        }
        _score(completions, columns, answer_format or "auto", as_json=as_json)
        return
    _evaluate(_named(checkpoint), request_of(**context.params), store, aa=aa, as_json=as_json)


def _refuse_beside_completions(params: Mapping[str, Any]) -> None:
    from ratchet.errors import InputError

    named = [option for name, option in _OF_A_CHECKPOINT.items() if params[name]]
    if named:
        raise InputError(
            "--completions scores what is recorded, so that nothing is drawn: leave out "
            f"{', '.join(named)}"
        )


def _score(file: Path, columns: Mapping[str, Any], answer_format: str, *, as_json: bool) -> None:
    from flows.standalone.recorded import RecordedColumns, score_recorded
    from flows.standalone.tables import recorded_line
    from ratchet.verifier.grader import DEFAULT_RULES

    known = known_format(answer_format)
    scored = score_recorded(file, RecordedColumns(**columns), known, DEFAULT_RULES)
    if as_json:
        sys.stdout.write(json_text(scored) + "\n")
    else:
        widest = max(map(len, scored))
        for name, metrics in scored.items():
            typer.echo(visible(f"{name:<{widest}}  {recorded_line(metrics)}"))
    _leave_if_broken(scored.values())


def _leave_if_broken(metrics: Iterable[Mapping[str, Any]]) -> None:
    if any(each.get("state") == "grader_broken" for each in metrics):
        raise typer.Exit(_BROKEN)


def _named(checkpoint: str | None) -> str:
    from ratchet.errors import InputError

    if checkpoint is None:
        raise InputError(f"nothing to evaluate is named: give {CHECKPOINT}, or --completions FILE")
    return checkpoint


def _evaluate(name: str, wanted: EvalRequest, store: Path, *, aa: bool, as_json: bool) -> None:
    from flows.standalone.against_itself import check_gate_can_be_put, put_to_gate
    from flows.standalone.evaluator import open_evaluator, result_of
    from flows.standalone.prepare import prepare
    from ratchet.store.artifacts import Store

    place = Store(store)
    prepared = prepare(place, [name], wanted)
    evaluations = [each for name in wanted.benchmarks for each in prepared.evaluations(name)]
    if aa:
        for evaluation in evaluations:
            check_gate_can_be_put(evaluation)
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
    _leave_if_broken(result["metrics"] for result in results)


def _say(result: dict[str, Any], *, aa: bool) -> None:
    from flows.standalone.against_itself import told
    from flows.standalone.tables import result_lines

    typer.echo(visible("\n".join(told(result) if aa else result_lines(result))))
