"""One SFT training, inside the worker: TRL's trainer on tokenized rows in a fixed order."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback
from trl import SFTConfig as TrlConfig
from trl import SFTTrainer

from ratchet.errors import InputError
from ratchet.faults import crash_point
from ratchet.files import read_json, write_json
from ratchet.policy import Policy
from ratchet.records import SftRow, from_table
from trainers.batches import BatchSplit, padding_share, row_order
from trainers.checkpoints import (
    compute_dtype,
    load_model,
    load_tokenizer,
    peft_config,
    save_checkpoint,
)
from trainers.config import SftConfig
from trainers.process import TrainingDiverged
from trainers.sft import SftJob
from trainers.sft_rows import Example, encode_rows
from trainers.worker import Reports

_REPORT_SECONDS = 0.2
_SAVED = "ratchet.json"
"""Written into a saved state when the state is whole; holds the losses up to there."""


@dataclass(frozen=True)
class Plan:
    """The rows of a training and their order, `batch_size` of them per step."""

    examples: Sequence[Example]
    order: Sequence[int]
    too_long: int
    split: BatchSplit

    @property
    def steps(self) -> int:
        return len(self.order) // self.split.batch_size

    def step_rows(self, step: int) -> list[Example]:
        """The rows of a step, counted from 0."""
        size = self.split.batch_size
        return [self.examples[index] for index in self.order[step * size : (step + 1) * size]]

    def tokens(self, step: int) -> int:
        """Tokens of a step, without padding."""
        return sum(len(example) for example in self.step_rows(step))

    @property
    def weighted(self) -> bool:
        return any(example.weight != 1 for example in self.examples)

    def dataset(self) -> Dataset:
        columns: dict[str, list[Any]] = {
            "input_ids": [example.input_ids for example in self.examples],
            "labels": [example.labels for example in self.examples],
        }
        if self.weighted:
            columns["weight"] = [example.weight for example in self.examples]
        return Dataset.from_dict(columns)


def make_plan(config: SftConfig, tokenizer: Any, rows: list[SftRow], job: SftJob) -> Plan:
    """Tokenize the rows and decide their order.

    Raises:
        InputError: if too few rows are short enough.
    """
    examples, too_long = encode_rows(tokenizer, rows, config.max_length)
    if len(examples) < config.min_rows:
        raise InputError(
            f"{len(examples)} of {len(rows)} training rows have at most trainer.max_length="
            f"{config.max_length} tokens, fewer than trainer.min_rows={config.min_rows}; raise "
            "max_length, or lower min_rows"
        )
    order = row_order(config, [len(example) for example in examples], job.seed)
    return Plan(examples, order, too_long, BatchSplit(**job.split))


def holds_device() -> bool:
    """Whether a finished training leaves device memory taken until this process ends."""
    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


def train(job: SftJob, reports: Reports) -> None:
    """Train, write the checkpoint and then the metrics.

    Raises:
        InputError: if the model, the rows or the settings can't make a training.
        TrainingDiverged: if the loss of a step is no finite number.
    """
    config = SftConfig.model_validate(job.config)
    policy = Policy(**job.start)
    _make_repeatable(job.seed)
    rows = [row for path in job.rows for row in from_table(pq.read_table(path), SftRow)]
    tokenizer = load_tokenizer(policy)
    plan = make_plan(config, tokenizer, rows, job)
    trainer = _build(config, policy, tokenizer, plan, job, reports)
    before = time.time()
    trainer.train(resume_from_checkpoint=_saved_state(Path(job.state_folder)))
    trained = time.time()
    save_checkpoint(trainer, policy, Path(job.checkpoint), config)
    crash_point("train_saved")
    losses = _mean_losses(trainer)
    if trainer.is_world_process_zero():
        metrics = _metrics(plan, losses)
        metrics["startup_seconds"] = round(before - job.started_at, 3)
        metrics["train_seconds"] = round(trained - before, 3)
        metrics["save_seconds"] = round(time.time() - trained, 3)
        write_json(Path(job.result), metrics)


def _make_repeatable(seed: int) -> None:
    """Seed what draws at random before TRL seeds for itself: the loading of the model."""
    random.seed(seed)
    torch.manual_seed(seed)


def _build(
    config: SftConfig, policy: Policy, tokenizer: Any, plan: Plan, job: SftJob, reports: Reports
) -> PlannedTrainer:
    losses: list[torch.Tensor] = []
    return PlannedTrainer(
        plan,
        losses,
        model=load_model(policy, config),
        args=_trl_config(config, plan, job),
        train_dataset=plan.dataset(),
        processing_class=tokenizer,
        peft_config=peft_config(policy, config),
        callbacks=[_Reporter(plan, losses, reports)],
    )


def _trl_config(config: SftConfig, plan: Plan, job: SftJob) -> TrlConfig:
    """Our settings in TRL's words.

    Raises:
        InputError: if TRL or transformers refuse them.
    """
    trackers = list(config.report_to)
    settings: dict[str, Any] = {
        "output_dir": job.state_folder,
        "per_device_train_batch_size": plan.split.device_batch_size,
        "gradient_accumulation_steps": plan.split.accumulation_steps,
        "max_steps": plan.steps,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.lr_scheduler,
        "warmup_steps": math.ceil(config.warmup_ratio * plan.steps),
        "optim": config.optimizer,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "seed": job.seed,
        "bf16": compute_dtype(config) == torch.bfloat16,
        "gradient_checkpointing": config.gradient_checkpointing,
        "report_to": trackers or "none",
        "logging_strategy": "steps" if trackers else "no",
        # The loss is checked at every step, by PlannedTrainer, which stops instead of hiding it.
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "save_strategy": "steps" if config.save_steps else "no",
        "save_steps": config.save_steps or plan.steps,
        # Two, because the newest may be torn by a kill.
        "save_total_limit": 2,
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "dataloader_pin_memory": torch.cuda.is_available(),
        "ddp_find_unused_parameters": False,
    }
    try:
        return TrlConfig(**{**settings, **config.args})
    except (TypeError, ValueError) as error:
        raise InputError(f"the settings under trainer can't be used by TRL: {error}") from None


def _check_split(split: BatchSplit, processes: int) -> None:
    """A launcher that starts fewer processes than asked would shrink the batch in silence."""
    if processes != split.devices:
        raise RuntimeError(
            f"{processes} processes train, but batch_size={split.batch_size} was split over "
            f"{split.devices} devices; set trainer.devices to the number that can be used"
        )


class _FixedOrder(Sampler[int]):
    """Row indices as they were planned."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = order

    def __iter__(self) -> Iterator[int]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)


class _WeightedCollator:
    """TRL's collator, and the rows' weights beside it."""

    def __init__(self, collate: Any) -> None:
        self._collate = collate

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        weights = torch.tensor([row["weight"] for row in rows], dtype=torch.float32)
        return {**self._collate(rows), "weight": weights}


class PlannedTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with a planned order of rows, row weights, and a stop at the first bad loss."""

    data_collator: Any

    def __init__(self, plan: Plan, losses: list[torch.Tensor], **arguments: Any) -> None:
        super().__init__(**arguments)
        _check_split(plan.split, self.args.world_size)
        self.plan = plan
        self.losses = losses
        self._step_loss: torch.Tensor | float = 0.0
        if plan.weighted:
            self.data_collator = _WeightedCollator(self.data_collator)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return _FixedOrder(self.plan.order)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if "weight" not in self._signature_columns:
            self._signature_columns.append("weight")

    def training_step(self, *arguments: Any, **named: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*arguments, **named)
        if not torch.isfinite(loss):
            self._stop_at(loss.item())
        self._step_loss = self._step_loss + loss
        if self.accelerator.sync_gradients:
            self.losses.append(torch.as_tensor(self._step_loss))
            self._step_loss = 0.0
        return loss

    def _stop_at(self, loss: float) -> None:
        step = self.state.global_step
        names = ", ".join(example.name for example in self.plan.step_rows(step))
        raise TrainingDiverged(
            f"the loss of step {step + 1} of {self.plan.steps} is {loss}, so the weights are lost; "
            "the incumbent stays as it is. Lower trainer.learning_rate, or look at the step's rows "
            f"(problem/attempt): {names}"
        )

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The mean over the batch's learned tokens of weight times negative log-likelihood.

        A row of weight 0.5 pulls half as strongly as one of weight 1, whatever lies beside it.
        """
        weights = inputs.pop("weight", None)
        if weights is None or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        row_losses = -outputs.log_probs.sum(dim=1)
        loss = (row_losses * weights).sum() / num_items_in_batch
        # The count is that of all devices, and gradients are averaged over them.
        return loss * self.accelerator.num_processes

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # TRL writes a model card here; a training's state needs none.
        Trainer._save_checkpoint(self, model, trial)
        if self.is_world_process_zero():
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            write_json(folder / _SAVED, {"losses": [float(loss) for loss in self.losses]})

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        saved = read_json(Path(resume_from_checkpoint) / _SAVED)
        self.losses[:] = [torch.tensor(loss) for loss in saved["losses"]]


def _saved_state(folder: Path) -> str | None:
    """The newest state that was saved whole."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{_SAVED}")]
    newest = max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)
    return str(newest) if newest else None


class _Reporter(TrainerCallback):  # type: ignore[misc]
    """Tells the parent how far the training is, a few times a second."""

    def __init__(self, plan: Plan, losses: Sequence[torch.Tensor], reports: Reports) -> None:
        self._plan = plan
        self._losses = losses
        self._reports = reports
        self._tokens = 0
        self._last = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._tokens = sum(self._plan.tokens(step) for step in range(state.global_step))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        crash_point("train_step")
        self._tokens += self._plan.tokens(state.global_step - 1)
        is_last = state.global_step == self._plan.steps
        if not state.is_world_process_zero or not (is_last or self._is_due()):
            return
        self._last = time.monotonic()
        done, loss = state.global_step, float(self._losses[-1])
        self._reports.send(
            "step", done=done, total=self._plan.steps, tokens=self._tokens, loss=loss
        )

    def _is_due(self) -> bool:
        return time.monotonic() - self._last >= _REPORT_SECONDS


def _mean_losses(trainer: PlannedTrainer) -> list[float]:
    """Each step's loss, the mean over the devices; every process has to call this."""
    losses = torch.stack(trainer.losses).to(trainer.args.device)
    means: list[float] = trainer.accelerator.reduce(losses, reduction="mean").tolist()
    return means


def _metrics(plan: Plan, losses: Sequence[float]) -> dict[str, Any]:
    """Losses are means over the first and the last tenth of the steps, in nats per token."""
    tenth = max(1, len(losses) // 10)
    lengths = [len(example) for example in plan.examples]
    pads = padding_share(plan.order, lengths, plan.split.device_batch_size)
    return {
        "steps": plan.steps,
        "rows": len(plan.examples),
        "rows_too_long": plan.too_long,
        "tokens": sum(lengths[index] for index in plan.order),
        "tokens_learned": sum(
            sum(label >= 0 for label in plan.examples[index].labels) for index in plan.order
        ),
        "padding_share": round(pads, 4),
        "train_loss_first": sum(losses[:tenth]) / tenth,
        "train_loss_last": sum(losses[-tenth:]) / tenth,
    }
