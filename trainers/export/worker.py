"""The process that exports: `python -m trainers.export.worker JOB.json PARENT`.

Merges an adapter into its model where asked to, and writes safetensors in one precision, with the
tokenizer's own files.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import peft
import torch
from transformers import AutoModelForCausalLM

from ratchet.policy import Policy
from ratchet.processes.parent import end_with
from ratchet.store.files import read_json
from trainers.export.job import ExportJob
from trainers.loop.checkpoints import add_tokenizer


def write(job: ExportJob) -> None:
    """Fill `job.folder`, which must be there and empty."""
    policy, folder = Policy(**job.policy), Path(job.folder)
    if job.merged:
        _write_merged(policy, folder, job.dtype)
    else:
        assert policy.adapter is not None
        shutil.copytree(policy.adapter, folder, dirs_exist_ok=True)
    _follow_umask(folder)


def _write_merged(policy: Policy, folder: Path, dtype: str) -> None:
    # Merged in float32: rounding the sum once loses less than adding to rounded weights.
    model = AutoModelForCausalLM.from_pretrained(
        policy.model,
        revision=policy.revision,
        trust_remote_code=policy.trust_remote_code,
        dtype=torch.float32,
    )
    if policy.adapter is not None:
        model = peft.PeftModel.from_pretrained(model, policy.adapter).merge_and_unload()
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    add_tokenizer(policy, folder)


def _follow_umask(folder: Path) -> None:
    """Weights are written for their owner alone; these are for whoever may read the folder."""
    umask = os.umask(0)
    os.umask(umask)
    for path in folder.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)


if __name__ == "__main__":
    end_with(int(sys.argv[2]))
    write(ExportJob(**read_json(Path(sys.argv[1]))))
