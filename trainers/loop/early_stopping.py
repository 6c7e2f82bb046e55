"""The look at the held-out rows between steps, and the decision to stop."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from trainers.config.rows import EarlyStopping
from trainers.data.held_out import looks_without_gain

LOSS = "eval_loss"
"""What transformers calls the loss that it compares states by."""


def trl_arguments(stopping: EarlyStopping) -> dict[str, Any]:
    """Look and save every so many steps, and end with the weights of the lowest loss."""
    return {
        "eval_strategy": "steps",
        "eval_steps": stopping.every_steps,
        "save_strategy": "steps",
        "save_steps": stopping.every_steps,
        "load_best_model_at_end": True,
        "metric_for_best_model": LOSS,
        "greater_is_better": False,
    }


def losses(state: Any) -> list[tuple[int, float]]:
    """(step, loss) of every look so far, those before a kill included."""
    return [(entry["step"], entry[LOSS]) for entry in state.log_history if LOSS in entry]


def metrics(state: Any, planned_steps: int) -> dict[str, Any]:
    """What the looks came to; `held_out_losses` holds (step, loss)."""
    return {
        "held_out_losses": losses(state),
        "best_step": min(losses(state), key=lambda look: look[1])[0],
        "stopped_early": state.global_step < planned_steps,
    }


class StopEarly(TrainerCallback):  # type: ignore[misc]
    """Ends the training where the looks bring no lower loss."""

    def __init__(self, stopping: EarlyStopping) -> None:
        self._stopping = stopping

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        looks = [loss for _, loss in losses(state)]
        if looks_without_gain(looks, self._stopping.min_improvement) >= self._stopping.patience:
            control.should_training_stop = True
            # No state is saved that has stopped: gone on with, it would take steps again. From the
            # one before, a training that was killed now comes to this very look.
            control.should_save = False
