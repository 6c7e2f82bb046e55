"""Settings of trainers whose rows are given before they start; importable without torch."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ratchet.config import AddedLater, Config
from trainers.config.base import TrainerBase


class EarlyStopping(Config):
    """Stop where the loss on rows held out no longer falls, and keep the weights of its lowest.

    The rows are held out of the training rows, problem by problem; the dev problems decide the gate
    and must not decide when to stop as well. For rows that another wrote, and for DPO: the policy's
    own completions are as likely as they get before the first step, so there it stops too early.
    """

    held_out: float = Field(default=0.1, gt=0, le=0.5)
    """Share of the problems whose rows are held out."""
    every_steps: int = Field(default=25, ge=1)
    """Optimizer steps between two looks at the loss; the training's state is saved at each."""
    patience: int = Field(default=3, ge=1)
    """Looks in a row that bring no lower loss, after which the training stops."""
    min_improvement: float = Field(default=0.0, ge=0)
    """Nats by which a loss has to be lower to count as lower."""


class RowsConfig(TrainerBase):
    """Of trainers whose rows are given before they start."""

    group_by_length: bool = True
    """Put rows of like length into one batch, to pad less."""
    carry_optimizer: bool = False
    """Keep the optimizer's state beside the checkpoint (for Adam twice the weights in float32), and
    go on from that of the checkpoint that this starts from, if it has one; the learning rate's
    schedule starts anew. Only where all weights are trained."""

    early_stopping: Annotated[EarlyStopping | None, AddedLater()] = None
    """Left out, the training goes through all its steps."""

    @model_validator(mode="after")
    def _stops_at_what_it_saved(self) -> Self:
        if self.early_stopping and self.carry_optimizer:
            raise ValueError(
                "early_stopping goes back to earlier weights, and carry_optimizer would go on from "
                "the optimizer's last state, which is not theirs; leave one of them out"
            )
        if self.early_stopping and self.save_steps:
            raise ValueError(
                f"save_steps={self.save_steps} can't hold beside early_stopping, which saves the "
                "state every early_stopping.every_steps; leave save_steps out"
            )
        return self

    @model_validator(mode="after")
    def _carries_what_there_is(self) -> Self:
        if self.carry_optimizer and self.lora:
            raise ValueError(
                "carry_optimizer goes with a training of all weights, not of an adapter; leave "
                "carry_optimizer or lora out"
            )
        return self
