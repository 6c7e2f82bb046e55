"""A checkpoint for others, as the flow sees it: what to write, and the process that writes it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ratchet.processes.child import Child, Program
from ratchet.store.files import write_json

_SHOWN = 2_000
"""Characters of the worker's last words that an error shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """What to write where, as JSON; `merged` is False for an adapter alone."""

    policy: dict[str, Any]
    folder: str
    dtype: str
    merged: bool


def write_checkpoint(job: ExportJob, work: Path) -> None:
    """Fill `job.folder`, which must be there and empty, by a process of its own.

    Raises:
        RuntimeError: if it could not, with the process's last words.
    """
    write_json(work / "job.json", asdict(job))
    program = Program(
        module="trainers.export.worker",
        arguments=(str(work / "job.json"), str(os.getpid())),
        log=work / "export.log",
        output="nowhere",
        own_session=False,
    )
    process = Child(program)
    try:
        code = process.wait()
    finally:
        process.kill()
    if code:
        said = "\n".join(process.last_lines(_SHOWN))[-_SHOWN:]
        raise RuntimeError(f"the checkpoint could not be written:\n{said}")
