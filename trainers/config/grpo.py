"""Settings of GRPO; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ratchet.config import AddedLater
from trainers.config.base import TrainerBase
from trainers.config.rewards import RESERVED, CorrectReward, RewardConfig
from trainers.config.trl_arguments import DecidesTrl, TrlArgument

_GRPO_OWNED = {
    "num_iterations": "the trainer itself: every step samples anew",
    "shuffle_dataset": "the run's seed",
}


class GrpoConfig(TrainerBase):
    """Group relative policy optimization on problems, by TRL: it samples its own completions.

    A completion's advantage is its reward minus its group's mean, divided as `scale_rewards` says
    (https://arxiv.org/abs/2402.03300).
    """

    OWNED_ARGS: ClassVar[Mapping[str, str]] = {**TrainerBase.OWNED_ARGS, **_GRPO_OWNED}

    kind: Literal["grpo"] = "grpo"
    learning_rate: float = Field(default=1e-6, gt=0)
    """The highest learning rate; `lr_scheduler` lowers it from there."""
    batch_size: Annotated[int, DecidesTrl("generation_batch_size", "steps_per_generation")] = Field(
        default=64, ge=2, le=1_000_000
    )
    """Completions per optimizer step, over all devices and accumulation steps together."""
    group_size: Annotated[int, TrlArgument("num_generations")] = Field(default=8, ge=2, le=100_000)
    """Completions of one problem; `batch_size` / `group_size` problems make up a step."""
    max_tokens: Annotated[int, TrlArgument("max_completion_length")] = Field(
        default=512, ge=1, le=10_000_000
    )
    """Tokens of a completion, after which it is cut."""
    max_length: int = Field(default=2048, ge=2)
    """Tokens of a prompt and `max_tokens`; a problem with a longer prompt is dropped and
    counted."""
    temperature: Annotated[float, TrlArgument("temperature")] = Field(default=1.0, gt=0, le=100)
    """Of the completions that it samples."""
    generation: Annotated[
        Literal["transformers", "vllm_colocate", "vllm_server"],
        DecidesTrl("use_vllm", "vllm_mode"),
    ] = "transformers"
    """What samples. vLLM needs a GPU: in the trainer's process, or as a server of TRL's
    (`trl vllm-serve`, found by `args.vllm_server_base_url`)."""
    rewards: Annotated[
        tuple[RewardConfig, ...], DecidesTrl("multi_objective_aggregation", "reward_weights")
    ] = Field(default=(CorrectReward(),), min_length=1)
    """What a completion is rewarded for; the reward is their weighted sum."""
    loss: Annotated[Literal["grpo", "dapo", "dr_grpo"], TrlArgument("loss_type")] = "dapo"
    """How tokens are averaged: `grpo` per completion, `dapo` over the batch's tokens
    (https://arxiv.org/abs/2503.14476), `dr_grpo` by `max_tokens`
    (https://arxiv.org/abs/2503.20783)."""
    scale_rewards: Annotated[Literal["group", "batch", "none"], TrlArgument("scale_rewards")] = (
        "group"
    )
    """What the advantages are divided by: the standard deviation of the group's rewards or of the
    whole batch's, or nothing."""
    beta: Annotated[float, AddedLater(), DecidesTrl("beta")] = Field(default=0.0, ge=0)
    """Weight of the KL term, which holds the policy to the reference: per token the estimate
    exp(d) - d - 1 with d = log p_ref - log p, never negative and right on average. 0 has no
    reference in memory; DeepSeekMath uses 0.04."""
    reference: Annotated[Literal["start", "base"], AddedLater(), DecidesTrl("sync_ref_model")] = (
        "start"
    )
    """The policy that p_ref is of, where `beta` is not 0: `start` is the one that this stage starts
    from, `base` the base model."""

    @property
    def rows_per_step(self) -> int:
        return self.batch_size // self.group_size

    @model_validator(mode="after")
    def _groups_are_whole(self) -> GrpoConfig:
        if self.batch_size % self.group_size:
            raise ValueError(
                f"batch_size={self.batch_size} is no multiple of group_size={self.group_size}, so "
                "a group would be torn apart; batch_size counts completions"
            )
        return self

    @model_validator(mode="after")
    def _rewards_have_names(self) -> GrpoConfig:
        names = [reward.name for reward in self.rewards]
        taken = sorted({name for name in names if names.count(name) > 1} | (RESERVED & {*names}))
        if taken:
            raise ValueError(f"rewards need names of their own, and none of the table's: {taken}")
        return self
