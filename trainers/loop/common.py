"""What every kind of training does inside the worker, around TRL's trainer."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq
import torch

from ratchet.errors import InputError
from ratchet.policy import Policy
from ratchet.records import DpoRow, GrpoRow, SftRow, from_table
from ratchet.store.crash_points import crash_point
from ratchet.store.files import write_json
from trainers.config.base import TrainerBase
from trainers.config.rows import RowsConfig
from trainers.config.trl_arguments import given_arguments
from trainers.data.held_out import SplitRowT, split_rows
from trainers.data.plan import Plan, Trainable, make_plan
from trainers.data.tokens import check_prompts
from trainers.job import TrainJob
from trainers.loop import early_stopping, optimizer_state
from trainers.loop.checkpoints import compute_dtype, save_checkpoint
from trainers.loop.planned_trainer import PlannedTrainer, saved_state


def holds_device() -> bool:
    """Whether a finished training leaves device memory taken until this process ends."""
    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


TrainRowT = TypeVar("TrainRowT", SftRow, DpoRow, GrpoRow)
PlannedT = TypeVar("PlannedT", bound=Trainable)


def read_rows(job: TrainJob, row_type: type[TrainRowT], tokenizer: Any) -> list[TrainRowT]:
    """The job's training rows.

    Raises:
        InputError: if they were made for another tokenizer.
    """
    rows = [row for path in job.rows for row in from_table(pq.read_table(path), row_type)]
    check_prompts(tokenizer, rows, job.prompt_tokens)
    return rows


Encode = Callable[[Any, Sequence[SplitRowT], int], tuple[Sequence[PlannedT], int]]
"""(tokenizer, rows, max_length) -> tokenized rows, and how many were dropped as too long."""


def plan_rows(
    config: RowsConfig,
    job: TrainJob,
    tokenizer: Any,
    row_type: type[SplitRowT],
    encode: Encode[SplitRowT, PlannedT],
) -> Plan[PlannedT]:
    """The plan of a training on the job's rows, some held out where it may stop early.

    Raises:
        InputError: if the rows can't make a training.
    """
    rows = split_rows(read_rows(job, row_type, tokenizer), config.early_stopping, job.seed)
    return make_plan(
        config,
        encode(tokenizer, rows.trained, config.max_length),
        job,
        encode(tokenizer, rows.held_out, config.max_length),
    )


def make_repeatable(seed: int) -> None:
    """Seed what draws at random before TRL seeds for itself: the loading of the model."""
    random.seed(seed)
    torch.manual_seed(seed)


def train_and_save(
    trainer: PlannedTrainer, policy: Policy, config: TrainerBase, job: TrainJob
) -> None:
    """Train or go on, write the checkpoint and then the metrics.

    Raises:
        TrainingDiverged: if the loss of a step is no finite number.
    """
    before = time.time()
    carries = isinstance(config, RowsConfig) and config.carry_optimizer
    trainer.carried = optimizer_state.left_by(policy) if carries else None
    trainer.train(resume_from_checkpoint=saved_state(Path(job.state_folder)))
    trained = time.time()
    save_checkpoint(trainer, policy, Path(job.checkpoint), config)
    if carries and trainer.is_world_process_zero():
        optimizer_state.save(trainer.optimizer, config.optimizer, Path(job.tables))
    crash_point("train_saved")
    metrics = trainer.metrics()
    if carries:
        metrics["optimizer_carried"] = trainer.carried is not None
    if trainer.is_world_process_zero():
        metrics["startup_seconds"] = round(before - job.started_at, 3)
        metrics["train_seconds"] = round(trained - before, 3)
        metrics["save_seconds"] = round(time.time() - trained, 3)
        write_json(Path(job.result), metrics)


SettingsT = TypeVar("SettingsT")


def trl_settings(
    of: type[SettingsT],
    config: TrainerBase,
    plan: Plan[Any],
    job: TrainJob,
    own: Mapping[str, Any],
) -> SettingsT:
    """Our settings in TRL's words: those that are arguments of its own (`TrlArgument`), what all
    kinds work out, what the kind does (`own`), and the user's `args`.

    Raises:
        InputError: if TRL or transformers refuse them.
    """
    try:
        return of(
            **{**given_arguments(config), **_worked_out(config, plan, job), **own, **config.args}
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"the settings under trainer can't be used by TRL: {error}") from None


def _worked_out(config: TrainerBase, plan: Plan[Any], job: TrainJob) -> dict[str, Any]:
    trackers = list(config.report_to)
    stopping = config.early_stopping if isinstance(config, RowsConfig) else None
    return {
        "output_dir": job.state_folder,
        "per_device_train_batch_size": plan.split.device_batch_size,
        "per_device_eval_batch_size": plan.split.device_batch_size,
        "gradient_accumulation_steps": plan.split.accumulation_steps,
        "max_steps": plan.steps,
        "warmup_steps": math.ceil(config.warmup_ratio * plan.steps),
        "seed": job.seed,
        "bf16": compute_dtype(config) == torch.bfloat16,
        # transformers takes bfloat16 on a CPU only where it is told that this is what is meant.
        **({} if holds_device() else {"use_cpu": True}),
        "report_to": trackers or "none",
        "run_name": job.name,
        "logging_strategy": "steps" if trackers else "no",
        # The loss is checked at every step, by PlannedTrainer, which stops instead of hiding it.
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "save_strategy": "steps" if config.save_steps else "no",
        "save_steps": config.save_steps or plan.steps,
        # Two, because the newest may be torn by a kill.
        "save_total_limit": 2,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "ddp_find_unused_parameters": False,
        **(early_stopping.trl_arguments(stopping) if stopping else {}),
    }
