"""Settings of evaluation, gate and guards. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ratchet.config import Config


class EvalConfig(Config):
    """How a checkpoint is evaluated: one greedy completion, or `group_size` sampled ones."""

    group_size: Annotated[int, Field(ge=1)] = 1
    temperature: Annotated[float, Field(ge=0.0)] = 0.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 1024
    stop: tuple[str, ...] = ()
    params: dict[str, Any] = {}
    """Further sampling parameters of the engine."""
    shard_size: Annotated[int, Field(ge=1)] = 512
    """Completions per shard, the unit of restart; rounded down to whole groups."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95

    @model_validator(mode="after")
    def _greedy_is_single(self) -> EvalConfig:
        if self.temperature == 0 and self.group_size > 1:
            raise ValueError(
                f"temperature=0 makes all {self.group_size} completions of a group identical; "
                "set group_size=1 or temperature>0"
            )
        return self


class GateConfig(Config):
    """When a candidate is promoted: a paired one-sided test on dev against the incumbent."""

    test: Literal["auto", "mcnemar", "bootstrap"] = "auto"
    """`auto`: exact McNemar for one completion per problem, else paired bootstrap."""
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    max_unscored: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    """Largest share of pairs that the grader could not score before no decision is made."""


class GuardConfig(Config):
    """A benchmark that must not get worse by more than `margin`."""

    margin: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.02
    """Largest tolerated loss in accuracy, as a share (0.02 is two points)."""
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
