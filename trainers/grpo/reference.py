"""The reference of GRPO's KL term: a frozen model, or the adapter's absence."""

from __future__ import annotations

from typing import Any

from trl.models.utils import prepare_deepspeed, prepare_fsdp
from trl.trainer.utils import add_fused_lm_head

from ratchet.policy import Policy
from trainers.config import GrpoConfig
from trainers.loop.checkpoints import drop_reference_adapter, load_model, load_weights
from trainers.loop.reference import Reference


def reference_model(trainer: Any, config: GrpoConfig, start: Policy, base: Policy) -> Any:
    """The frozen model to ask, or None where `trainer`'s own model holds the reference.

    It does so below its adapter, or in the copy of an adapter that TRL made. TRL would load a
    reference of all weights by its path alone, without its revision or the adapter merged into it.
    """
    match Reference.of(config, start, base).place:
        case "below_adapter":
            drop_reference_adapter(trainer.model)
            return None
        case "model":
            return None if config.lora else _prepared(trainer, load_model(start, config))
        case "base":
            drop_reference_adapter(trainer.model)
            return _prepared(trainer, load_weights(base, config))


def _prepared(trainer: Any, model: Any) -> Any:
    """`model`, frozen and on the trainer's devices, its head as TRL asks it."""
    model.requires_grad_(False)
    add_fused_lm_head(
        model,
        temperature=trainer.temperature,
        cast_lm_head_to_fp32=trainer.args.cast_lm_head_to_fp32,
    )
    if trainer.is_deepspeed_enabled:
        return prepare_deepspeed(model, trainer.accelerator)
    if trainer.is_fsdp_enabled:
        return prepare_fsdp(model, trainer.accelerator)
    return trainer.accelerator.prepare_model(model, evaluation_mode=True)
