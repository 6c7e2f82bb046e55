"""How groups of completions are drawn: the settings that sampling and evaluation share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from ratchet.config import Config, NotIdentity
from ratchet.generation.engine import Sampling

GroupSize = Annotated[int, Field(ge=1, le=100_000)]
Temperature = Annotated[float, Field(ge=0.0, le=100.0)]
ShardSize = Annotated[int, Field(ge=1, le=100_000_000)]

_SET_ELSEWHERE = {
    "n": "group_size",
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "max_new_tokens": "max_tokens",
    "do_sample": "temperature",
    "num_return_sequences": "group_size",
    "stop": "stop",
    "stop_strings": "stop",
    "seed": "the run's seed",
    "output_kind": "nothing: only whole completions are kept",
}


def refuse(names: Mapping[str, Any], owners: Mapping[str, str]) -> None:
    """Raise ValueError if a pass-through setting has a place of its own."""
    taken = [f"{name!r} is set by {owners[name]}" for name in names if name in owners]
    if taken:
        raise ValueError("; ".join(taken) + "; set it there, not here")


class DecodingConfig(Config):
    """`group_size` completions for each problem, all drawn alike."""

    group_size: GroupSize = 1
    """Completions of one problem."""
    temperature: Temperature = 0.0
    """0 is greedy: the likeliest token each time."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Draw only among the likeliest tokens that together have this probability; 1 for all."""
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] = 1024
    """Longest completion, in tokens; what is longer is cut and has finish_reason `length`."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion; they are not part of it."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Further sampling parameters of the engine, such as top_k, min_p, repetition_penalty."""
    max_too_long: Annotated[float, Field(ge=0.0, le=1.0), NotIdentity()] = 0.01
    """Share of the prompts that may be too long for the engine, and so go unanswered, before the
    run stops."""
    shard_size: ShardSize = 512
    """Completions per shard, the unit of restart; rounded down to whole groups."""

    @field_validator("params")
    @classmethod
    def _not_ours(cls, params: dict[str, Any]) -> dict[str, Any]:
        refuse(params, _SET_ELSEWHERE)
        return params

    @model_validator(mode="after")
    def _greedy_is_single(self) -> Self:
        if self.temperature == 0 and self.group_size > 1:
            raise ValueError(
                f"temperature=0 makes all {self.group_size} completions of a group identical; "
                "set group_size=1 or temperature>0"
            )
        return self

    def sampling(self, seed: int) -> Sampling:
        """What the engine is told."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=seed,
            stop=self.stop,
            extra=tuple(self.params.items()),
        )
