"""What the parent is told of a training between its steps."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from transformers import TrainerCallback

from ratchet.store.crash_points import crash_point
from trainers.data.plan import Plan
from trainers.launch.worker import Reporting

_REPORT_SECONDS = 0.2

LOSS = "train_loss"
"""The name of the loss in a trainer's history."""


class Steps(Protocol):
    """What of a trainer is reported."""

    plan: Plan[Any]

    @property
    def history(self) -> Mapping[str, Sequence[Any]]: ...

    def tokens(self, step: int) -> int: ...


class StepReports(TrainerCallback):  # type: ignore[misc]
    """Tells the parent how far the training is, a few times a second."""

    def __init__(self, trainer: Steps, reports: Reporting) -> None:
        self._trainer = trainer
        self._reports = reports
        self._tokens = 0
        self._last = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._tokens = sum(self._trainer.tokens(step) for step in range(state.global_step))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        crash_point("train_step")
        total = self._trainer.plan.steps
        self._tokens += self._trainer.tokens(state.global_step - 1)
        is_last = state.global_step == total
        if not state.is_world_process_zero or not (is_last or self._is_due()):
            return
        self._last = time.monotonic()
        done, loss = state.global_step, float(self._trainer.history[LOSS][-1])
        self._reports.send("step", done=done, total=total, tokens=self._tokens, loss=loss)

    def _is_due(self) -> bool:
        return time.monotonic() - self._last >= _REPORT_SECONDS
