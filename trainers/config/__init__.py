"""Settings of each kind of trainer, and their union; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from trainers.config.base import LoraConfig, TrainerBase
from trainers.config.dpo import DpoConfig
from trainers.config.grpo import GrpoConfig
from trainers.config.rows import EarlyStopping
from trainers.config.sft import SftConfig

__all__ = [
    "DpoConfig",
    "EarlyStopping",
    "GrpoConfig",
    "LoraConfig",
    "SftConfig",
    "TrainerBase",
    "TrainerConfig",
    "at_iteration",
    "parse_trainer",
]

AnyTrainer = SftConfig | DpoConfig | GrpoConfig
TrainerConfig = Annotated[AnyTrainer, Field(discriminator="kind")]
"""Any trainer's settings."""

_ADAPTER: TypeAdapter[AnyTrainer] = TypeAdapter(TrainerConfig)


def parse_trainer(tables: Mapping[str, Any]) -> AnyTrainer:
    """The settings of the kind that `tables` names.

    Raises:
        pydantic.ValidationError: if they are none.
    """
    return _ADAPTER.validate_python(tables)


def at_iteration(config: AnyTrainer, iteration: int) -> AnyTrainer:
    """The settings that hold in an iteration, counted from 0, `per_iteration` applied and emptied.

    So what identifies a checkpoint is what it was trained with, not what others will be.
    """
    return config.at(iteration)
