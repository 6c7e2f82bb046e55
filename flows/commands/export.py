"""`ratchet export`: a run's checkpoint in a folder of its own, with a model card."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flows.config import stored_config
from flows.reports.lineage import choose
from flows.reports.model_card import model_card
from ratchet.errors import InputError
from ratchet.policy import Policy
from ratchet.store.ledger import Run
from trainers.export.job import ExportJob, write_checkpoint

DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True)
class Wanted:
    """What to export: the incumbent, or an iteration's candidate; merged, or its adapter alone."""

    folder: Path
    iteration: int | None
    adapter: bool
    dtype: str


def export(run: Run, wanted: Wanted) -> dict[str, Any]:
    """Write the checkpoint; the folder appears when it is whole.

    Raises:
        InputError: if there is nothing to export, or the folder is there already.
        RuntimeError: if the checkpoint could not be written.
    """
    config = stored_config(run.config, run.name)
    policy = choose(run, config, wanted.iteration)
    _check(wanted, policy)
    wanted.folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=wanted.folder.parent, prefix=f".{wanted.folder.name}.") as work:
        made = Path(work) / "checkpoint"
        made.mkdir()
        job = ExportJob(
            policy=asdict(policy), folder=str(made), dtype=wanted.dtype, merged=not wanted.adapter
        )
        write_checkpoint(job, Path(work))
        (made / "README.md").write_text(model_card(run, config, policy), encoding="utf-8")
        made.rename(wanted.folder)
    return {
        "run": run.name,
        "iteration": policy.iteration,
        "checkpoint": str(wanted.folder),
        "what": _what(policy, wanted),
    }


def _check(wanted: Wanted, policy: Policy) -> None:
    if wanted.dtype not in DTYPES:
        raise InputError(f"--dtype {wanted.dtype!r} is none of {', '.join(DTYPES)}")
    if wanted.folder.exists():
        raise InputError(f"{wanted.folder} is there already; name a folder that is not")
    if wanted.adapter and policy.adapter is None:
        raise InputError(
            f"iteration {policy.iteration} trained all weights, so there is no adapter to export; "
            "leave --adapter out"
        )


def _what(policy: Policy, wanted: Wanted) -> str:
    if wanted.adapter:
        return f"the adapter of iteration {policy.iteration}, for {policy.model}"
    merged = ", adapter merged" if policy.adapter else ""
    return f"iteration {policy.iteration} in {wanted.dtype}{merged}"
