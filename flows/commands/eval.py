"""`ratchet eval`: a checkpoint, an adapter or a server on benchmarks; or recorded completions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ratchet.visible import json_text

if TYPE_CHECKING:
    from flows.standalone.prepare import Wanted

CHECKPOINT_HELP = (
    "A folder (checkpoint or adapter), a hub id, RUN, RUN@N, RUN@base, or a server's URL."
)
BenchmarkOption = Annotated[
    list[str] | None,
    typer.Option("--benchmark", "-b", help="gsm8k, math, math500, a FILE, or a config's set."),
]
DataOption = Annotated[Path | None, typer.Option(help="A local copy of a well-known benchmark.")]
ConfigOption = Annotated[
    Path | None, typer.Option(help="Take engine, prompt, eval and sets from a run's config.")
]
ProtocolOption = Annotated[
    str | None, typer.Option(help="boxed, gsm8k-8-shot or math-4-shot (docs/evaluation.md).")
]
ShotsOption = Annotated[
    Path | None, typer.Option(help="A local train split to draw worked examples from.")
]
SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", help="E.g. eval.max_tokens=2048, engine.kind=…")
]
SeedOption = Annotated[int | None, typer.Option(help="Another seed draws other completions.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="The first so many problems only.")]
ProblemColumnOption = Annotated[str | None, typer.Option(help="A file's column of problems.")]
AnswerColumnOption = Annotated[str | None, typer.Option(help="Its column of reference answers.")]
FormatOption = Annotated[
    str | None, typer.Option(help="Where answers stand: auto, boxed, hash, last_number, …")
]
TrustOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code beside the checkpoint.")
]
StoreOption = Annotated[
    Path, typer.Option("--store", envvar="RATCHET_STORE", help="The folder of artifacts and runs.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON object on stdout.")]


def evaluate(
    checkpoint: Annotated[str | None, typer.Argument(help=CHECKPOINT_HELP)] = None,
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
        Path | None, typer.Option(help="Score this file's recorded completions instead.")
    ] = None,
    completion: Annotated[str, typer.Option(help="Its column of completions.")] = "completion",
    reference: Annotated[
        str, typer.Option(help="Its column of reference answers.")
    ] = "reference_answer",
    by: Annotated[str | None, typer.Option(help="Score by this column, e.g. a model's.")] = None,
    problem_id: Annotated[str | None, typer.Option(help="Its column of problem ids.")] = None,
    finish_reason: Annotated[str | None, typer.Option(help="Its column: stop or length.")] = None,
    store: StoreOption = Path("ratchet-store"),
    as_json: JsonOption = False,
) -> None:
    """Evaluate a checkpoint, adapter or server on benchmarks; what the store has is used."""
    if completions is not None:
        raise NotImplementedError
    wanted = wanted_of(
        benchmarks=benchmark,
        config=config,
        protocol=protocol,
        settings=settings,
        seed=seed,
        trust_remote_code=trust_remote_code,
        options={
            "data": data,
            "shots": shots,
            "problem_column": problem_column,
            "answer_column": answer_column,
            "answer_format": answer_format,
            "limit": limit,
        },
    )
    _evaluate(_named(checkpoint), wanted, store, aa=aa, as_json=as_json)
