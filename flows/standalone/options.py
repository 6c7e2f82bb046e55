"""The options that `ratchet eval` and `ratchet compare` share. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from flows.standalone.benchmarks import BenchmarkOptions
    from flows.standalone.prepare import EvalRequest

CHECKPOINT = "a folder (checkpoint or adapter), a hub id, RUN, RUN@N, RUN@base or a server's URL"

BenchmarkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark", "-b", help="gsm8k, math, math500, a FILE, or a config's set; repeatable."
    ),
]
DataOption = Annotated[
    Path | None, typer.Option(path_type=Path, help="A local copy of a well-known benchmark.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(path_type=Path, help="Take engine, prompt, eval, gate and sets from a config."),
]
ProtocolOption = Annotated[
    str | None, typer.Option(help="boxed, gsm8k-8-shot or math-4-shot: docs/evaluation.md.")
]
ShotsOption = Annotated[
    Path | None,
    typer.Option(path_type=Path, help="A local train split that worked examples are drawn from."),
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting of engine, prompt, eval or gate."),
]
SeedOption = Annotated[int | None, typer.Option(help="Another seed draws other completions.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="The first so many problems only.")]
ProblemColumnOption = Annotated[str | None, typer.Option(help="A file's column of problems.")]
AnswerColumnOption = Annotated[str | None, typer.Option(help="Its column of reference answers.")]
FormatOption = Annotated[
    str | None, typer.Option(help="Where answers stand: auto, boxed, hash, last_number, …")
]
TrustOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the Python code beside a checkpoint.")
]
StoreOption = Annotated[
    Path, typer.Option("--store", envvar="RATCHET_STORE", help="The folder of artifacts and runs.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON object on stdout.")]


def request_of(**given: Any) -> EvalRequest:
    """What was asked for, by the parameters of either command, as its context has them.

    Raises:
        InputError: if the answer format is none, or a file is not there.
    """
    from flows.standalone.prepare import EvalRequest

    return EvalRequest(
        benchmarks=tuple(given["benchmark"] or ()),
        config=given["config"],
        protocol=given["protocol"],
        settings=tuple(given["settings"] or ()),
        seed=given["seed"],
        trust_remote_code=given["trust_remote_code"],
        options=_benchmark_options(given),
    )


def _benchmark_options(given: Mapping[str, Any]) -> BenchmarkOptions:
    from flows.standalone.benchmarks import BenchmarkOptions
    from ratchet.errors import InputError, looked_for

    if given["answer_format"] is not None:
        known_format(given["answer_format"])
    for name in ("data", "shots"):
        if given[name] is not None and not given[name].exists():
            raise InputError(
                f"--{name}: there is nothing at {given[name]} ({looked_for(given[name])})"
            )
    names = (field.name for field in fields(BenchmarkOptions))
    return BenchmarkOptions(**{name: given[name] for name in names})


def known_format(name: str) -> Any:
    """An answer format, checked.

    Raises:
        InputError: if it is none; those that are known are listed.
    """
    from ratchet.errors import InputError
    from ratchet.verifier.grader import extract_answer

    try:
        extract_answer("", name)  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(f"--answer-format: {error}") from None
    return name
