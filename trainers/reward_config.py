"""Settings of GRPO's rewards; importable without torch."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ratchet.config import Config
from ratchet.errors import InputError

_PLACE = ("step", "group", "attempt", "problem_id")
_FOUND = ("completion", "num_tokens", "finish_reason", "reward", "advantage", "failure")
RESERVED = frozenset({*_PLACE, *_FOUND})
"""Columns of the table of rewards that are no reward's."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class RewardBase(Config):
    """What every reward has. A completion's reward is the sum of `weight` times value."""

    weight: float = 1.0


class CorrectReward(RewardBase):
    """1 where the grader finds the final answer equal to the reference, else 0."""

    kind: Literal["correct"] = "correct"
    name: Name = "correct"


class PartialReward(RewardBase):
    """1 where correct; else the smaller number over the larger one of answer and reference.

    0 where either is no plain number, their signs differ, or there is no answer.
    """

    kind: Literal["partial"] = "partial"
    name: Name = "partial"


class FormatReward(RewardBase):
    """1 where the completion has the form, else 0."""

    kind: Literal["format"] = "format"
    name: Name = "format"
    style: Literal["boxed", "think", "xml_exact", "xml_soft"] = "boxed"
    """`boxed`: a `\\boxed{` is in it. `think`: it begins with one `<think>…</think>` and goes on
    after it. `xml_exact`: it is `<think>…</think><answer>…</answer>` and nothing else but space.
    `xml_soft`: those two stand in it, in that order, with anything around them."""


class LengthReward(RewardBase):
    """0 up to `free_tokens`, then falling evenly to -1 at `max_tokens` and staying there.

    The soft punishment of overlong completions of DAPO (https://arxiv.org/abs/2503.14476, eq. 13).
    """

    kind: Literal["length"] = "length"
    name: Name = "length"
    free_tokens: int = Field(ge=0)
    max_tokens: int = Field(ge=1)

    @model_validator(mode="after")
    def _falls(self) -> LengthReward:
        if self.max_tokens <= self.free_tokens:
            raise ValueError(
                f"max_tokens={self.max_tokens} is not above free_tokens={self.free_tokens}, so "
                "there is no length between them to fall over"
            )
        return self


class CustomReward(RewardBase):
    """The user's own function: it takes a list of `trainers.rewards.Sampled` and returns as many
    numbers, or None for a completion that it can say nothing about."""

    kind: Literal["custom"] = "custom"
    name: Name
    path: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    """`my_package.my_module:my_reward`, found from the folder that Ratchet is started in."""
    settings: dict[str, Any] = {}
    """Passed to the function by name."""


RewardConfig = Annotated[
    CorrectReward | PartialReward | FormatReward | LengthReward | CustomReward,
    Field(discriminator="kind"),
]


def source_digest(reward: CustomReward) -> str:
    """A digest of the module that holds the function, so that another code is another reward.

    Raises:
        InputError: if there is no such module.
    """
    module = reward.path.partition(":")[0]
    try:
        found = find_spec(module)
    except ImportError:
        found = None
    if found is None or not found.origin:
        raise InputError(
            f"reward {reward.name!r}: there is no module {module}; give package.module:function, "
            "importable from the folder that ratchet is started in"
        )
    return hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()[:16]
