"""Settings of each kind of trainer; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter, model_validator

from ratchet.config import NotIdentity
from trainers.base_config import LoraConfig, TrainerBase
from trainers.grpo_config import GrpoConfig
from trainers.rows_config import EarlyStopping, RowsConfig

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

_SFT_OWNED = {
    "dataset_kwargs": "the trainer itself: rows come tokenized",
    "neftune_noise_alpha": "neftune_noise_alpha",
    "packing": "the trainer itself: packed rows have no weights; padding_free pads nothing either",
    "padding_free": "padding_free",
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


class SftConfig(RowsConfig):
    """Supervised fine-tuning on accepted completions, by TRL."""

    OWNED_ARGS: ClassVar[Mapping[str, str]] = {**TrainerBase.OWNED_ARGS, **_SFT_OWNED}

    kind: Literal["sft"] = "sft"
    neftune_noise_alpha: float | None = Field(default=None, gt=0)
    """Noise on the embeddings while training (NEFTune, https://arxiv.org/abs/2310.05914, which
    tries 5, 10 and 15); left out, none."""
    padding_free: Annotated[bool, NotIdentity()] = False
    """Put the rows of a micro-batch end to end instead of padding them to the longest. Steps, rows
    and loss stay what they are. On a GPU it needs flash-attn; without, attention would be computed
    between rows too, only to be masked out."""


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
    batch_size: int = Field(default=16, ge=1, le=1_000_000)
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
