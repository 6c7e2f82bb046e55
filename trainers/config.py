"""Settings of each kind of trainer; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from trainers.base_config import LoraConfig, TrainerBase
from trainers.reward_config import RESERVED, CorrectReward, RewardConfig

__all__ = [
    "DpoConfig",
    "GrpoConfig",
    "LoraConfig",
    "RowsConfig",
    "SftConfig",
    "TrainerBase",
    "TrainerConfig",
    "at_iteration",
    "parse_trainer",
]

_SFT_OWNED = {
    "dataset_kwargs": "the trainer itself: rows come tokenized",
    "neftune_noise_alpha": "neftune_noise_alpha",
    "packing": "the trainer itself: packed rows have no weights and no restart point",
    "padding_free": "the trainer itself: rows are padded, in batches of like length",
}

_OWN_LOSS = "the trainer itself: its loss is beta, dpo_weight, nll_weight and length_normalised"
_DPO_OWNED = {
    "beta": "beta",
    "disable_dropout": "lora.dropout",
    "f_alpha_divergence_coef": _OWN_LOSS,
    "f_divergence_type": _OWN_LOSS,
    "label_smoothing": "label_smoothing",
    "ld_alpha": _OWN_LOSS,
    "loss_type": _OWN_LOSS,
    "loss_weights": _OWN_LOSS,
    "padding_free": "the trainer itself: rows are padded, in batches of like length",
    "precompute_ref_log_probs": "reference",
    "sync_ref_model": "reference",
    "truncation_mode": "max_length: a longer pair is dropped",
    "use_weighting": _OWN_LOSS,
}


_VLLM = "generation"
_GRPO_OWNED = {
    "beta": "the trainer itself: there is no reference and no KL term",
    "generation_batch_size": "batch_size",
    "loss_type": "loss",
    "max_completion_length": "max_tokens",
    "multi_objective_aggregation": "rewards",
    "num_generations": "group_size",
    "num_iterations": "the trainer itself: every step samples anew",
    "reward_weights": "rewards",
    "scale_rewards": "scale_rewards",
    "shuffle_dataset": "the run's seed",
    "steps_per_generation": "batch_size",
    "sync_ref_model": "the trainer itself: there is no reference and no KL term",
    "temperature": "temperature",
    "use_vllm": _VLLM,
    "vllm_mode": _VLLM,
}


class RowsConfig(TrainerBase):
    """Of trainers whose rows are given before they start."""

    group_by_length: bool = True
    """Put rows of like length into one batch, to pad less."""
    carry_optimizer: bool = False
    """Keep the optimizer's state beside the checkpoint (for Adam twice the weights in float32), and
    go on from that of the checkpoint that this starts from, if it has one; the learning rate's
    schedule starts anew. Only where all weights are trained."""

    @model_validator(mode="after")
    def _carries_what_there_is(self) -> Self:
        if self.carry_optimizer and self.lora:
            raise ValueError(
                "carry_optimizer goes with a training of all weights, not of an adapter; leave "
                "carry_optimizer or lora out"
            )
        return self


class SftConfig(RowsConfig):
    """Supervised fine-tuning on accepted completions, by TRL."""

    OWNED_ARGS: ClassVar[Mapping[str, str]] = {**TrainerBase.OWNED_ARGS, **_SFT_OWNED}

    kind: Literal["sft"] = "sft"
    neftune_noise_alpha: float | None = Field(default=None, gt=0)
    """Noise on the embeddings while training (NEFTune, https://arxiv.org/abs/2310.05914, which
    tries 5, 10 and 15); left out, none."""


class DpoConfig(RowsConfig):
    """Direct preference optimization on pairs of a right and a wrong completion, by TRL.

    With r = log p(y|x) - log p_ref(y|x), the loss of a pair is

        dpo_weight * -log sigmoid(beta * (r_chosen - r_rejected))
        + nll_weight * -log p(y_chosen|x) / |y_chosen|

    (DPO, https://arxiv.org/abs/2305.18290; the second term makes it that of iterative RPO,
    https://arxiv.org/abs/2404.19733).
    """

    OWNED_ARGS: ClassVar[Mapping[str, str]] = {**TrainerBase.OWNED_ARGS, **_DPO_OWNED}

    kind: Literal["dpo"] = "dpo"
    learning_rate: float = Field(default=7e-7, gt=0)
    """The default is that of iterative RPO for all weights; adapters want about ten times more."""
    batch_size: int = Field(default=16, ge=1)
    """Pairs per optimizer step, over all devices and accumulation steps together."""
    max_length: int = Field(default=2048, ge=2)
    """Tokens of prompt, one completion and end token; a pair with a longer side is dropped and
    counted."""

    reference: Literal["start", "base"] = "start"
    """The policy that p_ref is of: `start` is the one that this stage starts from (the incumbent,
    or what the stage before it in the same iteration made), `base` the base model."""
    beta: float = Field(default=0.1, gt=0)
    """How hard p is held to p_ref; with `length_normalised`, values about 2 to 10 are usual."""
    dpo_weight: float = Field(default=1.0, ge=0)
    nll_weight: float = Field(default=1.0, ge=0)
    """0 is plain DPO."""
    length_normalised: bool = False
    """Divide each r by its completion's number of tokens, end token included (as Tülu 3 does,
    https://arxiv.org/abs/2411.15124), so that long completions weigh no more than short ones."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of the pairs taken to be the wrong way round (https://arxiv.org/abs/2403.00409)."""

    @model_validator(mode="after")
    def _has_a_loss(self) -> DpoConfig:
        if not self.dpo_weight and not self.nll_weight:
            raise ValueError(
                "dpo_weight=0 and nll_weight=0 leave no loss to train on; give one of them"
            )
        return self


class GrpoConfig(TrainerBase):
    """Group relative policy optimization on problems, by TRL: it samples its own completions.

    A completion's advantage is its reward minus its group's mean, divided as `scale_rewards` says
    (https://arxiv.org/abs/2402.03300). There is no KL term.
    """

    OWNED_ARGS: ClassVar[Mapping[str, str]] = {**TrainerBase.OWNED_ARGS, **_GRPO_OWNED}

    kind: Literal["grpo"] = "grpo"
    learning_rate: float = Field(default=1e-6, gt=0)
    batch_size: int = Field(default=64, ge=2)
    """Completions per optimizer step, over all devices and accumulation steps together."""
    group_size: int = Field(default=8, ge=2)
    """Completions of one problem; `batch_size` / `group_size` problems make up a step."""
    max_tokens: int = Field(default=512, ge=1)
    """Tokens of a completion, after which it is cut."""
    max_length: int = Field(default=2048, ge=2)
    """Tokens of a prompt and `max_tokens`; a problem with a longer prompt is dropped and
    counted."""
    temperature: float = Field(default=1.0, gt=0)
    generation: Literal["transformers", "vllm_colocate", "vllm_server"] = "transformers"
    """What samples. vLLM needs a GPU: in the trainer's process, or as a server of TRL's
    (`trl vllm-serve`, found by `args.vllm_server_base_url`)."""
    rewards: tuple[RewardConfig, ...] = Field(default=(CorrectReward(),), min_length=1)
    loss: Literal["grpo", "dapo", "dr_grpo"] = "dapo"
    """How tokens are averaged: `grpo` per completion, `dapo` over the batch's tokens
    (https://arxiv.org/abs/2503.14476), `dr_grpo` by `max_tokens`
    (https://arxiv.org/abs/2503.20783)."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What the advantages are divided by: the standard deviation of the group's rewards or of the
    whole batch's, or nothing."""

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
