"""One SFT training, inside the worker: TRL's trainer on tokenized rows in a fixed order."""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from trl import SFTConfig as TrlConfig
from trl import SFTTrainer

from ratchet.policy import Policy
from ratchet.records import SftRow
from trainers.checkpoints import load_model, load_tokenizer, peft_config
from trainers.config import SftConfig
from trainers.plan import Plan, make_plan
from trainers.planned_trainer import PlannedTrainer
from trainers.sft_rows import Example, encode_rows
from trainers.stage import TrainJob
from trainers.training import make_repeatable, read_rows, train_and_save, trl_settings
from trainers.worker import Reporting


def train(config: SftConfig, job: TrainJob, reports: Reporting) -> None:
    """Train, write the checkpoint and then the metrics.

    Raises:
        InputError: if the model, the rows or the settings can't make a training.
        TrainingDiverged: if the loss of a step is no finite number.
    """
    policy = Policy(**job.start)
    make_repeatable(job.seed)
    tokenizer = load_tokenizer(policy)
    encoded = encode_rows(tokenizer, read_rows(job, SftRow), config.max_length)
    plan = make_plan(config, encoded, job)
    own = {
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "neftune_noise_alpha": config.neftune_noise_alpha,
    }
    trainer = PlannedSftTrainer(
        plan,
        reports,
        model=load_model(policy, config),
        args=trl_settings(TrlConfig, config, plan, job, own),
        train_dataset=_dataset(plan),
        processing_class=tokenizer,
        peft_config=peft_config(policy, config),
    )
    train_and_save(trainer, policy, config, job)


def is_weighted(plan: Plan[Example]) -> bool:
    """Whether a row's weight differs from 1."""
    return any(example.weight != 1 for example in plan.examples)


def _dataset(plan: Plan[Example]) -> Dataset:
    columns: dict[str, list[Any]] = {
        "input_ids": [example.input_ids for example in plan.examples],
        "labels": [example.labels for example in plan.examples],
    }
    if is_weighted(plan):
        columns["weight"] = [example.weight for example in plan.examples]
    return Dataset.from_dict(columns)


class _WeightedCollator:
    """TRL's collator, and the rows' weights beside it."""

    def __init__(self, collate: Any) -> None:
        self._collate = collate

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        weights = torch.tensor([row["weight"] for row in rows], dtype=torch.float32)
        return {**self._collate(rows), "weight": weights}


class PlannedSftTrainer(PlannedTrainer, SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with row weights."""

    data_collator: Any

    def __init__(self, plan: Plan[Example], reports: Reporting, **arguments: Any) -> None:
        super().__init__(plan, reports, **arguments)
        if is_weighted(plan):
            self.data_collator = _WeightedCollator(self.data_collator)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if "weight" not in self._signature_columns:
            self._signature_columns.append("weight")

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
