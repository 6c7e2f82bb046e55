"""One DPO training, inside the worker: TRL's trainer on tokenized pairs in a fixed order.

The reference's log-probabilities are computed once, before the first step. So no second model is
held while training, whatever is trained, and an adapter needs none at all: the weights below it
are the reference, or it is what it starts as.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from datasets import Dataset
from trl import DPOConfig as TrlConfig
from trl import DPOTrainer
from trl.trainer.utils import add_fused_lm_head

from ratchet.policy import Policy
from ratchet.records import DpoRow
from trainers.config import DpoConfig
from trainers.data.plan import Plan
from trainers.data.tokens import IGNORED
from trainers.dpo.loss import PairLogps, PairLosses, pair_losses
from trainers.dpo.rows import Pair, encode_pairs
from trainers.job import TrainJob
from trainers.launch.worker import Reporting
from trainers.loop.checkpoints import (
    drop_reference_adapter,
    load_model,
    load_tokenizer,
    load_weights,
    peft_config,
)
from trainers.loop.common import make_repeatable, plan_rows, train_and_save, trl_settings
from trainers.loop.planned_trainer import PlannedTrainer
from trainers.loop.reference import Reference


def train(config: DpoConfig, job: TrainJob, reports: Reporting) -> None:
    """Train, write the checkpoint and then the metrics.

    Raises:
        InputError: if the model, the rows or the settings can't make a training.
        TrainingDiverged: if the loss of a step is no finite number.
    """
    policy = Policy(**job.start)
    make_repeatable(job.seed)
    trainer = build_trainer(config, job, reports)
    train_and_save(trainer, policy, config, job)


def build_trainer(config: DpoConfig, job: TrainJob, reports: Reporting) -> PlannedDpoTrainer:
    """The trainer before its first step, the reference computed."""
    policy = Policy(**job.start)
    tokenizer = load_tokenizer(policy)
    plan = plan_rows(config, job, tokenizer, DpoRow, encode_pairs)
    return PlannedDpoTrainer(
        plan,
        reports,
        stopping=config.early_stopping,
        config=config,
        reference=Reference.of(config, policy, Policy(**job.base)),
        model=load_model(policy, config),
        args=trl_settings(TrlConfig, config, plan, job, own_arguments(config)),
        train_dataset=_dataset(plan.examples),
        eval_dataset=_dataset(plan.held_out) if plan.held_out else None,
        processing_class=tokenizer,
        peft_config=peft_config(policy, config),
    )


def own_arguments(config: DpoConfig) -> dict[str, Any]:
    """What TRL is told for DPO alone."""
    return {
        "max_length": None,
        # The reference is computed with dropout off; an adapter's own is the only one asked for.
        "disable_dropout": not (config.lora and config.lora.dropout),
        "precompute_ref_log_probs": True,
    }


def _dataset(pairs: Sequence[Pair]) -> Dataset:
    return Dataset.from_dict(
        {
            "prompt_ids": [pair.prompt_ids for pair in pairs],
            "chosen_ids": [pair.chosen_ids for pair in pairs],
            "rejected_ids": [pair.rejected_ids for pair in pairs],
        }
    )


class PlannedDpoTrainer(PlannedTrainer, DPOTrainer):  # type: ignore[misc]
    """TRL's trainer with our reference and our loss.

    TRL 1.16 averages its NLL term over all tokens of a micro-batch (`loss_type="sft"`), where that
    of iterative RPO is per pair; its `sigmoid` takes no label smoothing; and it keeps a reference
    of all weights in memory, or writes its log-probabilities to a cache on disk.
    """

    NLL = "chosen_nll"

    def __init__(
        self,
        plan: Plan[Pair],
        reports: Reporting,
        *,
        config: DpoConfig,
        reference: Reference,
        **arguments: Any,
    ) -> None:
        self.config = config
        self.reference = reference
        super().__init__(plan, reports, **arguments)

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """The dataset with the reference's log-probabilities of each pair that is trained on."""
        # An adapter's start is measured here and now, so no copy of it is needed.
        drop_reference_adapter(self.model)
        pairs = self.plan.held_out if name == "eval" else self.plan.examples
        asked = range(len(pairs)) if name == "eval" else set(self.plan.order)
        needed = sorted(asked, key=lambda row: (len(pairs[row]), row))
        with self._reference_model() as model:
            logps = self._score(model, dataset, needed, batch_size)
        unused = (float("nan"), float("nan"))
        sides = [logps.get(row, unused) for row in range(len(dataset))]
        dataset = dataset.add_column("ref_chosen_logps", [chosen for chosen, _ in sides])
        return dataset.add_column("ref_rejected_logps", [rejected for _, rejected in sides])

    @contextmanager
    def _reference_model(self) -> Iterator[Any]:
        """The reference, ready to be asked; a base model that was loaded is gone afterwards."""
        model = self.model
        if self.reference.place == "base":
            model = load_weights(self.reference.base, self.config)
            add_fused_lm_head(model)
            if not getattr(model, "is_quantized", False):
                model.to(self.args.device)
        switch: AbstractContextManager[Any] = nullcontext()
        if self.reference.place == "below_adapter":
            switch = model.disable_adapter()
        was_training = model.training
        model.eval()
        with switch:
            yield model
        model.train(was_training)

    @torch.no_grad()
    def _score(
        self, model: Any, dataset: Dataset, rows: Sequence[int], at_once: int
    ) -> dict[int, tuple[float, float]]:
        """(chosen, rejected) log-probabilities by row; the devices share the rows."""
        found: list[tuple[int, float, float]] = []
        for batch in self.share(rows, at_once):
            inputs = self._prepare_inputs(self.data_collator([dataset[row] for row in batch]))
            with self.accelerator.autocast():
                chosen, rejected = _sums(self._forward(model, inputs))
            found += zip(batch, chosen.tolist(), rejected.tolist(), strict=True)
        return {row: (chosen, rejected) for row, chosen, rejected in gather_object(found)}

    def _forward(self, model: Any, inputs: dict[str, Any], **named: Any) -> Any:
        """TRL's fused head: `log_probs` of shape (2 x pairs, length), 0 on what is no completion.

        The chosen sides come first.
        """
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, IGNORED)
        return model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            labels=labels,
            use_cache=False,
            fused_lm_head=True,
            **named,
        )

    def _pair_losses(self, outputs: Any, inputs: dict[str, Any]) -> PairLosses:
        chosen, rejected = _sums(outputs)
        lengths = inputs["completion_mask"].sum(dim=1).chunk(2)
        logps = PairLogps(
            chosen, rejected, inputs["ref_chosen_logps"], inputs["ref_rejected_logps"], *lengths
        )
        return pair_losses(self.config, logps)

    def row_losses(self, model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        pairs = self._pair_losses(self._forward(model, inputs), inputs)
        return pairs.loss, torch.ones_like(pairs.loss)

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        routing = {"output_router_logits": True} if self.aux_loss_enabled else {}
        outputs = self._forward(model, inputs, **routing)
        pairs = self._pair_losses(outputs, inputs)
        self._note(pairs)
        loss = pairs.loss.mean()
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss
        return (loss, outputs) if return_outputs else loss

    def _note(self, pairs: PairLosses) -> None:
        margin = pairs.chosen_reward - pairs.rejected_reward
        self.note("reward_margin", margin.mean())
        self.note("reward_accuracy", (margin > 0).float().mean())
        self.note("chosen_reward", pairs.chosen_reward.mean())
        self.note("chosen_nll", pairs.chosen_nll.mean())

    def metrics(self) -> dict[str, Any]:
        return {**super().metrics(), "reference": self.config.reference}


def _sums(outputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(chosen, rejected) sums over each completion, in float32."""
    chosen, rejected = outputs.log_probs.float().sum(dim=1).chunk(2)
    return chosen, rejected
