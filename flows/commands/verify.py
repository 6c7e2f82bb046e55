"""`ratchet verify`: the verifier alone, on any file of completions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ratchet.visible import json_text, visible

if TYPE_CHECKING:
    from ratchet.verifier.file import Summary

FileArgument = Annotated[Path, typer.Argument(help="A Parquet, JSONL or CSV file.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="The Parquet file to write.")]


def verify(
    file: FileArgument,
    completion: Annotated[str, typer.Option(help="The column of completions.")],
    reference: Annotated[str, typer.Option(help="The column of reference answers.")],
    out: OutOption,
    finish_reason: Annotated[str | None, typer.Option(help="Its column: stop or length.")] = None,
    problem: Annotated[str | None, typer.Option(help="The column of problem texts.")] = None,
    answer_format: Annotated[str, typer.Option(help="auto, boxed, hash, last_number, …")] = "auto",
    policy: Annotated[
        list[str] | None, typer.Option("--policy", help="E.g. percent=fraction; docs/verifier.md.")
    ] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Also write OUT's -audit folder.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Default: one for each core.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Grade the completions of a file against their reference answers."""
    from ratchet.errors import InputError
    from ratchet.verifier.file import VerifyColumns, VerifySettings, verify_file

    settings = VerifySettings(
        columns=VerifyColumns(
            completion=completion,
            reference=reference,
            finish_reason=finish_reason,
            problem=problem,
        ),
        answer_format=_known_format(answer_format),
        policy=_policy(policy or []),
        processes=processes,
    )
    if audit and audit_folder(out).is_file():
        raise InputError(f"{audit_folder(out)} is a file, where --audit needs a folder; move it")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with console.status("verifying") as status:
        summary = verify_file(
            file, out, settings, lambda done: status.update(f"verifying: {done:,} completions")
        )
    if audit:
        summary.audit.write(audit_folder(out))
    _tell(summary, as_json=as_json, with_audit=audit, out=out)


def audit_folder(out: Path) -> Path:
    """Where the audit of `out` goes."""
    return out.with_name(f"{out.stem}-audit")


def _known_format(name: str) -> Any:
    from ratchet.errors import InputError
    from ratchet.verifier.grader import extract_answer

    try:
        extract_answer("", name)  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(f"--answer-format: {error}") from None
    return name


def _policy(settings: list[str]) -> Any:
    from ratchet.config import parse_config, parse_override
    from ratchet.verifier.grader import AnswerRules

    pairs = [parse_override(text, "--policy", "percent=fraction") for text in settings]
    return parse_config(AnswerRules, {".".join(path): value for path, value in pairs}, "--policy")


def _tell(summary: Summary, *, as_json: bool, with_audit: bool, out: Path) -> None:
    audit = summary.audit
    answer: dict[str, Any] = {
        "completions": summary.completions,
        "seconds": round(summary.seconds, 2),
        "completions_per_second": round(summary.per_second, 1),
        "reasons": audit.by("reason"),
    }
    if with_audit:
        answer |= {
            "rules": audit.by("rule"),
            "tiers": audit.by("tier"),
            "failures": len(audit.failures),
            "disagreements": len(audit.disagreements),
            "suspicious": sum(1 for _ in audit.suspicious()),
            "audit": str(audit_folder(out)),
        }
    if as_json:
        sys.stdout.write(json_text(answer) + "\n")
        return
    for name, value in answer.items():
        if isinstance(value, dict):
            typer.echo(visible(f"{name}:"))
            for key, count in value.items():
                typer.echo(f"  {key:<18} {count:>10,}")
        else:
            typer.echo(visible(f"{name}: {value}"))
