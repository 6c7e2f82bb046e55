"""Settings of DPO; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from trainers.config.base import TrainerBase
from trainers.config.rows import RowsConfig
from trainers.config.trl_arguments import DecidesTrl

_OWN_LOSS = "the trainer itself: its loss is beta, dpo_weight, nll_weight and length_normalised"
_DPO_OWNED = {
    "disable_dropout": "lora.dropout",
    "f_alpha_divergence_coef": _OWN_LOSS,
    "f_divergence_type": _OWN_LOSS,
    "ld_alpha": _OWN_LOSS,
    "loss_type": _OWN_LOSS,
    "loss_weights": _OWN_LOSS,
    "padding_free": "the trainer itself: rows are padded, in batches of like length",
    "truncation_mode": "max_length: a longer pair is dropped",
    "use_weighting": _OWN_LOSS,
}


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

    reference: Annotated[
        Literal["start", "base"], DecidesTrl("precompute_ref_log_probs", "sync_ref_model")
    ] = "start"
    """The policy that p_ref is of: `start` is the one that this stage starts from (the incumbent,
    or what the stage before it in the same iteration made), `base` the base model."""
    beta: Annotated[float, DecidesTrl("beta")] = Field(default=0.1, gt=0)
    """How hard p is held to p_ref; with `length_normalised`, values about 2 to 10 are usual."""
    dpo_weight: float = Field(default=1.0, ge=0)
    """Weight of the preference term."""
    nll_weight: float = Field(default=1.0, ge=0)
    """0 is plain DPO."""
    length_normalised: bool = False
    """Divide each r by its completion's number of tokens, end token included (as Tülu 3 does,
    https://arxiv.org/abs/2411.15124), so that long completions weigh no more than short ones."""
    label_smoothing: Annotated[float, DecidesTrl("label_smoothing")] = Field(
        default=0.0, ge=0, lt=0.5
    )
    """Share of the pairs taken to be the wrong way round (https://arxiv.org/abs/2403.00409)."""

    @model_validator(mode="after")
    def _has_a_loss(self) -> DpoConfig:
        if not self.dpo_weight and not self.nll_weight:
            raise ValueError(
                "dpo_weight=0 and nll_weight=0 leave no loss to train on; give one of them"
            )
        return self
