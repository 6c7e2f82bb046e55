"""One SFT training, inside the worker: TRL's trainer on tokenized rows in a fixed order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from datasets import Dataset
from trl import SFTConfig as TrlConfig
from trl import SFTTrainer

from ratchet.policy import Policy
from ratchet.records import SftRow
from trainers.config import SftConfig
from trainers.data.plan import Plan
from trainers.job import TrainJob
from trainers.launch.worker import Reporting
from trainers.loop.checkpoints import load_model, load_tokenizer, peft_config
from trainers.loop.common import make_repeatable, plan_rows, train_and_save, trl_settings
from trainers.loop.planned_trainer import PlannedTrainer
from trainers.loop.step_reports import LOSS
from trainers.sft.rows import EncodedRow, encode_rows


def train(config: SftConfig, job: TrainJob, reports: Reporting) -> None:
    """Train, write the checkpoint and then the metrics.

    Raises:
        InputError: if the model, the rows or the settings can't make a training.
        TrainingDiverged: if the loss of a step is no finite number.
    """
    policy = Policy(**job.start)
    make_repeatable(job.seed)
    tokenizer = load_tokenizer(policy)
    plan = plan_rows(config, job, tokenizer, SftRow, encode_rows)
    weighted = is_weighted([*plan.examples, *plan.held_out])
    trainer = PlannedSftTrainer(
        plan,
        reports,
        stopping=config.early_stopping,
        weighted=weighted,
        model=load_model(policy, config),
        args=trl_settings(TrlConfig, config, plan, job, own_arguments()),
        train_dataset=_dataset(plan.examples, weighted),
        eval_dataset=_dataset(plan.held_out, weighted) if plan.held_out else None,
        processing_class=tokenizer,
        peft_config=peft_config(policy, config),
    )
    train_and_save(trainer, policy, config, job)


def own_arguments() -> dict[str, Any]:
    """What TRL is told for SFT alone: the rows come cut and tokenized."""
    return {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}


def is_weighted(examples: Iterable[EncodedRow]) -> bool:
    """Whether a row's weight differs from 1."""
    return any(example.weight != 1 for example in examples)


def _dataset(examples: Sequence[EncodedRow], weighted: bool) -> Dataset:
    columns: dict[str, list[Any]] = {
        "input_ids": [example.input_ids for example in examples],
        "labels": [example.labels for example in examples],
    }
    if weighted:
        columns["weight"] = [example.weight for example in examples]
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

    NLL = LOSS
    data_collator: Any

    def __init__(
        self, plan: Plan[EncodedRow], reports: Reporting, *, weighted: bool, **arguments: Any
    ) -> None:
        super().__init__(plan, reports, **arguments)
        if weighted:
            self.largest_weight = max(1.0, *(example.weight for example in plan.examples))
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
        row_losses, _ = self.row_losses(model, {**inputs, "weight": weights})
        # The count is that of all devices, and gradients are averaged over them.
        tokens = torch.as_tensor(num_items_in_batch)
        return row_losses.sum() / tokens * self.accelerator.num_processes

    def row_losses(self, model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        weights = inputs.pop("weight", 1.0)
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        losses, counts = (
            _row_sums(values, inputs.get("seq_idx"))
            for values in (-outputs.log_probs, outputs.label_mask.float())
        )
        return losses * weights, counts

    def metrics(self) -> dict[str, Any]:
        metrics = super().metrics()
        return {**metrics, "padding_share": 0.0} if self.args.padding_free else metrics


def _row_sums(values: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    """The sum of each row's values of shape (rows, length - 1).

    Where the rows lie end to end, `values` has the shape (1, tokens - 1) and `rows`, of shape
    (1, tokens), gives each token's row; a value belongs to the token that it predicts.
    """
    if rows is None:
        return values.sum(dim=1)
    owners = rows[0, 1:].long()
    return values.new_zeros(int(rows.max()) + 1).index_add(0, owners, values[0])
