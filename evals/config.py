"""Settings of evaluation, gate and guards. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ratchet.config import Config
from ratchet.generation.decoding import DecodingConfig


class EvalConfig(DecodingConfig):
    """How a checkpoint is evaluated: one greedy completion, or `group_size` sampled ones."""

    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    """Of the intervals around each figure in reports."""


class GateConfig(Config):
    """When a candidate is promoted: a paired one-sided test on dev against the incumbent."""

    test: Literal["auto", "mcnemar", "bootstrap"] = "auto"
    """`auto`: exact McNemar for one completion per problem, else paired bootstrap."""
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    """Largest chance that a candidate which is no better is promoted: the test's level."""
    max_unscored: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    """Largest share of either side's completions without a verdict before no decision is made, on
    dev and on each guard. Those within it count against the candidate."""
    max_unscored_difference: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    """Largest difference between the two sides' shares: it counts where `max_unscored` is raised
    for a benchmark that is hard to grade."""


class GuardConfig(Config):
    """A benchmark that must not get worse by more than `margin`."""

    margin: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.02
    """Largest tolerated loss in accuracy, as a share (0.02 is two points)."""
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    """Largest chance that a loss of `margin` or more is let pass: the test's level."""
