"""A training stage as the flow sees it: what it makes, and the process that makes it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ratchet.config import identity_settings
from ratchet.errors import InputError
from ratchet.policy import Policy
from ratchet.problems.grading import GradingRules
from ratchet.progress import Progress, Step, silent
from ratchet.store.artifacts import Artifact, Workspace
from ratchet.store.crash_points import crash_point
from ratchet.store.files import read_json, write_json
from ratchet.store.identity import ArtifactSpec
from ratchet.texts.completion_shape import BOXES_VERSION
from trainers.config import DpoConfig, GrpoConfig, TrainerConfig
from trainers.config.base import TrainerBase
from trainers.config.rewards import CustomReward, FormatReward, source_digest
from trainers.data.batches import BatchSplit
from trainers.job import TrainJob
from trainers.launch.machine_check import check_environment
from trainers.launch.process import Launch, WarmWorker, find_devices, run_worker

STAGE = "train"
VERSIONS = {"sft": 1, "dpo": 1, "grpo": 2}
"""Raised where the same settings and inputs come to give other weights."""
CHECKPOINT = "checkpoint"
_WORK = "work"
_NAME_CHARS = 6
"""Of the artifact's name in a training's, which tell two of one kind in an iteration apart."""
_WORKER = "trainers.worker_main"


@dataclass(frozen=True, kw_only=True)
class TrainInputs:
    """What one training starts from.

    `rows` holds parts of the rows that the trainer's kind takes: `SftRow` for sft, `DpoRow` for
    dpo, `GrpoRow` for grpo. `start` is the incumbent or what the stage before made, `base` the base
    model; `start_from` chooses between them. `rules` grade what grpo samples. `warm` may hold a
    worker that waits. `log_path` lies outside the artifact, whose content it must not change.
    """

    rows: Artifact
    start: Policy
    base: Policy
    iteration: int
    seed: int
    log_path: Path
    warm: WarmWorker | None = None
    rules: GradingRules = field(default_factory=GradingRules)
    progress: Progress = silent


def spec(config: TrainerConfig, inputs: TrainInputs) -> ArtifactSpec:
    """What decides the checkpoint's content."""
    start = config.starting_point(inputs.start, inputs.base)
    made_of = {"rows": inputs.rows.fingerprint, "start": start.fingerprint}
    if _asks_base(config):
        made_of["base"] = inputs.base.fingerprint
    return ArtifactSpec(
        stage=STAGE,
        version=VERSIONS[config.kind],
        settings={
            **identity_settings(config),
            **_rewarding(config, inputs.rules),
            "seed": inputs.seed,
            "redo": 0,  # as in the stores that people have; see `ArtifactSpec.redone`
        },
        inputs=made_of,
    )


def _asks_base(config: TrainerConfig) -> bool:
    """Whether the base model is the reference."""
    match config:
        case DpoConfig():
            return config.reference == "base"
        case GrpoConfig():
            return bool(config.beta) and config.reference == "base"
        case _:
            return False


def _rewarding(config: TrainerConfig, rules: GradingRules) -> dict[str, Any]:
    """What decides a completion's reward beside the config."""
    if not isinstance(config, GrpoConfig):
        return {}
    custom = [reward for reward in config.rewards if isinstance(reward, CustomReward)]
    boxes = any(isinstance(r, FormatReward) and r.style == "boxed" for r in config.rewards)
    return {
        **({"boxes": BOXES_VERSION} if boxes else {}),
        "rules": rules.identity(),
        "reward_code": {reward.name: source_digest(reward) for reward in custom},
    }


def run(config: TrainerConfig, inputs: TrainInputs, out: Workspace) -> dict[str, Any]:
    """Train, and leave the checkpoint's folder in `out`. Returns the metrics.

    What an interrupted training saved of its state (`save_steps`) is gone on with.

    Raises:
        InputError: if the rows, the settings or this machine can't make a training.
        TrainingDiverged: if the loss became infinite or no number.
        TrainerFailed: if the worker stopped with another error.
        TrainerDied: if the worker was killed; call again to go on.
    """
    _check_rows(config, inputs.rows)
    devices = check_environment(config)
    job = _job(config, inputs, out, BatchSplit.of(config, devices.count))
    work = out.path / _WORK
    work.mkdir(exist_ok=True)
    shutil.rmtree(out.path / CHECKPOINT, ignore_errors=True)
    shutil.rmtree(work / "tables", ignore_errors=True)
    write_json(work / "job.json", asdict(job), private=True)
    launch = Launch(_WORKER, work / "job.json", devices, inputs.log_path, config.accelerate_config)
    run_worker(launch, lambda message: _report(inputs.progress, message), inputs.warm)
    return _take_result(job, out)


def warm_up(config: TrainerBase, warm: WarmWorker, log: Path) -> None:
    """Have a worker ready for the next training, of whatever kind."""
    warm.prepare(_WORKER, find_devices(config.devices), log)


def checkpoint_policy(artifact: Artifact, start: Policy, iteration: int) -> Policy:
    """The policy that a training made of `start`: its own weights, or an adapter on `start`'s."""
    folder = str((artifact.path / CHECKPOINT).resolve())
    is_adapter = (artifact.path / CHECKPOINT / "adapter_config.json").exists()
    return Policy(
        fingerprint=artifact.fingerprint,
        model=start.model if is_adapter else folder,
        adapter=folder if is_adapter else None,
        revision=start.revision if is_adapter else None,
        trust_remote_code=start.trust_remote_code,
        iteration=iteration,
    )


def _check_rows(config: TrainerBase, rows: Artifact) -> None:
    if rows.manifest.rows < config.min_rows:
        raise InputError(
            f"{rows.manifest.rows} training rows, fewer than trainer.min_rows={config.min_rows}, "
            "so there is nothing to learn from; raise sampler.group_size, sample more problems, "
            "or lower trainer.min_rows"
        )


def _job(config: TrainerConfig, inputs: TrainInputs, out: Workspace, split: BatchSplit) -> TrainJob:
    work = (out.path / _WORK).resolve()
    return TrainJob(
        config=config.model_dump(mode="json"),
        start=asdict(config.starting_point(inputs.start, inputs.base)),
        base=asdict(inputs.base),
        rows=[str(path.resolve()) for path in inputs.rows.part_files()],
        prompt_tokens=inputs.rows.manifest.metrics.get("prompt_tokens", {}),
        seed=inputs.seed,
        split=asdict(split),
        # A state counts its micro-batches, so that of another split can't be gone on with.
        state_folder=str(work / f"state-{split.devices}x{split.device_batch_size}"),
        checkpoint=str(work / CHECKPOINT),
        result=str(work / "result.json"),
        tables=str(work / "tables"),
        trackers=str(inputs.log_path.parent.resolve() / "trackers"),
        name=f"iteration-{inputs.iteration}-{config.kind}-{out.path.name[-_NAME_CHARS:]}",
        rules={
            "answer_format": inputs.rules.answer_format,
            "policy": inputs.rules.policy.model_dump(mode="json"),
        },
        started_at=time.time(),
    )


def _report(progress: Progress, message: Mapping[str, Any]) -> None:
    note = f"loss {message['loss']:.3f}"
    progress(Step(message["done"], message["total"], tokens=message["tokens"], note=note))


def _take_result(job: TrainJob, out: Workspace) -> dict[str, Any]:
    metrics: dict[str, Any] = read_json(Path(job.result))
    crash_point("before_rename")
    os.replace(job.checkpoint, out.path / CHECKPOINT)
    for table in Path(job.tables).glob("*"):
        os.replace(table, out.path / table.name)
    shutil.rmtree(out.path / _WORK)
    return metrics
