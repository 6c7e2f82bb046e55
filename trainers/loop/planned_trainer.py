"""What our trainers add to TRL's: a planned order, a history of steps, a stop at a bad loss."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback

from ratchet.store.files import read_json, write_json
from trainers.config.rows import EarlyStopping
from trainers.data.batches import BatchSplit, shared
from trainers.data.plan import Plan
from trainers.launch.process import TrainingDiverged
from trainers.launch.worker import Reporting
from trainers.loop import early_stopping, optimizer_state
from trainers.loop.step_reports import LOSS, StepReports

_SAVED = "ratchet.json"
"""Written into a saved state when the state is whole; holds the history up to there."""

_LOST = 2.0
"""Times the loss of guessing, above which weights that began below it are lost."""


class PlannedTrainer(Trainer):  # type: ignore[misc]
    """Put before one of TRL's trainers among a class's bases.

    `history` holds a value per step and name, on this device: the loss, and what a subclass notes.
    """

    NLL: ClassVar[str | None] = None
    """The name in `history` of a negative log-likelihood per token, if there is one."""
    largest_weight: float = 1.0
    """What a row's part in it is at most multiplied by."""
    control: Any

    def __init__(
        self,
        plan: Plan[Any],
        reports: Reporting,
        stopping: EarlyStopping | None = None,
        **arguments: Any,
    ) -> None:
        self.plan = plan
        self.history: dict[str, list[torch.Tensor]] = defaultdict(list)
        self._step_values: dict[str, torch.Tensor | float] = defaultdict(float)
        self.carried: Path | None = None
        """An optimizer's state to go on from."""
        callbacks: list[TrainerCallback] = [StepReports(self, reports)]
        if stopping:
            callbacks.append(early_stopping.StopEarly(stopping))
        super().__init__(**arguments, callbacks=callbacks)
        _check_split(plan.split, self.args.world_size)

    def tokens(self, step: int) -> int:
        """Tokens of a step that is done, counted from 0."""
        return self.plan.tokens(step)

    def note(self, name: str, value: torch.Tensor) -> None:
        """Add a micro-batch's mean to the step's."""
        self._step_values[name] += value.detach() / self.plan.split.accumulation_steps

    def create_optimizer(self, model: Any = None) -> Any:
        optimizer = super().create_optimizer(model)
        if self.carried:
            optimizer_state.load(optimizer, self.args.optim.value, self.carried)
        return optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return _FixedOrder(self.plan.order)

    def training_step(self, *arguments: Any, **named: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*arguments, **named)
        if not torch.isfinite(loss):
            self._stop_at(loss.item())
        self._step_values[LOSS] += loss
        if self.accelerator.sync_gradients:
            for name, value in self._step_values.items():
                self.history[name].append(torch.as_tensor(value))
            self._step_values.clear()
            self._check_nll()
        return loss

    def _check_nll(self) -> None:
        """Stop where tokens have become less likely than by guessing, and by far."""
        if self.NLL is None:
            return
        vocabulary = self.model.config.get_text_config().vocab_size
        guessing = self.largest_weight * math.log(vocabulary)
        last = float(self.history[self.NLL][-1])
        if last > _LOST * guessing and float(self.history[self.NLL][0]) <= _LOST * guessing:
            self._stop_at(
                last, f" a token, where guessing among all tokens would come to {guessing:.2f}"
            )

    def _stop_at(self, loss: float, why: str = "") -> None:
        step = self.state.global_step
        rows = self.plan.step_rows(step)
        raise TrainingDiverged(
            f"the loss of step {step + 1} of {self.plan.steps} is {loss:.4g}{why}, so the weights "
            "are lost; the incumbent stays as it is. Lower trainer.learning_rate, or look at the "
            f"step's rows ({rows[0].NAMES}): {', '.join(row.name for row in rows)}"
        )

    def share(self, rows: Sequence[int], at_once: int) -> list[list[int]]:
        """This device's batches of rows that all devices go through together."""
        accelerator = self.accelerator
        return shared(rows, at_once, accelerator.process_index, accelerator.num_processes)

    def row_losses(self, model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each row of a batch, its loss and what that is to be divided by; shapes (rows,)."""
        raise NotImplementedError

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The loss on the held-out rows, defined as that on the training rows."""
        metrics = {early_stopping.LOSS: self._held_out_loss()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        rows = self.plan.held_out
        by_length = sorted(range(len(rows)), key=lambda row: (len(rows[row]), row))
        model = self.model_wrapped
        model.eval()
        found: list[tuple[int, float, float]] = []
        for batch in self.share(by_length, self.args.per_device_eval_batch_size):
            inputs = self._prepare_inputs(
                self.data_collator([self.eval_dataset[row] for row in batch])
            )
            with self.compute_loss_context_manager():
                losses, counts = self.row_losses(model, inputs)
            found += zip(batch, losses.tolist(), counts.tolist(), strict=True)
        model.train()
        by_row = {row: (loss, count) for row, loss, count in gather_object(found)}
        total, count = (sum(values) for values in zip(*by_row.values(), strict=True))
        return float(total / count)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # TRL writes a model card here; a training's state needs none.
        Trainer._save_checkpoint(self, model, trial)
        if self.is_world_process_zero():
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            history = {name: [float(v) for v in values] for name, values in self.history.items()}
            write_json(folder / _SAVED, history)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        for name, values in read_json(Path(resume_from_checkpoint) / _SAVED).items():
            self.history[name][:] = [torch.tensor(value) for value in values]

    def metrics(self) -> dict[str, Any]:
        """Counts, and each value of the history over the first and the last tenth of the steps.

        A step's value is the mean over the devices: every process has to call this.
        """
        metrics = self.plan.metrics(self.state.global_step)
        if self.plan.held_out:
            metrics["held_out_rows"] = len(self.plan.held_out)
            metrics |= early_stopping.metrics(self.state, self.plan.steps)
        for name, values in self.history.items():
            on_device = torch.stack(values).to(self.args.device)
            steps = self.accelerator.reduce(on_device, reduction="mean").tolist()
            tenth = max(1, len(steps) // 10)
            metrics[f"{name}_first"] = _mean(steps[:tenth])
            metrics[f"{name}_last"] = _mean(steps[-tenth:])
        return metrics


def _mean(values: Sequence[float]) -> float | None:
    """Over the steps that have a value; None if none has."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else None


def saved_state(folder: Path) -> str | None:
    """The newest state that was saved whole."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{_SAVED}")]
    newest = max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)
    return str(newest) if newest else None


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
