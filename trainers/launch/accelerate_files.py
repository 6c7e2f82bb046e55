"""accelerate's config files: what a trainer can do with one; read without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from trainers.config import DpoConfig
from trainers.config.base import TrainerBase
from trainers.config.rows import RowsConfig

_SHARDED = ("FSDP", "DEEPSPEED")
_KNOWN = ("MULTI_GPU", *_SHARDED)


def accelerate_lacks(config: TrainerBase) -> list[str]:
    """Why `config.accelerate_config` can't be used; empty where it can, or is left out."""
    if config.accelerate_config is None:
        return []
    asked = f'trainer.accelerate_config = "{config.accelerate_config}"'
    try:
        settings = _read(config.accelerate_config)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        return [f"{asked} can't be read: {error}; start from one in configs/accelerate"]
    found = settings.get("distributed_type")
    if found not in _KNOWN:
        return [f"{asked}: its distributed_type is {found!r}, which is none of {', '.join(_KNOWN)}"]
    return [f"{asked}: {why}" for why in _conflicts(config, settings, str(found))]


def _read(path: Path) -> Mapping[str, Any]:
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(settings, dict):
        raise ValueError("it holds no table of settings")
    return settings


def _conflicts(config: TrainerBase, settings: Mapping[str, Any], kind: str) -> list[str]:
    why = []
    if kind == "DEEPSPEED":
        why += _deepspeed_conflicts(settings.get("deepspeed_config") or {})
    if kind not in _SHARDED:
        return why
    if isinstance(config, DpoConfig):
        why.append(
            f"dpo asks the reference before the weights are split, which {kind} can't; use a "
            'distributed_type of "MULTI_GPU", or lora to need less memory'
        )
    if isinstance(config, RowsConfig) and config.carry_optimizer:
        why.append(f"{kind} splits the optimizer's state; set carry_optimizer = false")
    if config.lora and config.lora.quantize != "none":
        why.append(f'{kind} can\'t split quantized weights; set lora.quantize = "none"')
    return why


def _deepspeed_conflicts(deepspeed: Mapping[str, Any]) -> list[str]:
    why = []
    if find_spec("deepspeed") is None:
        why.append("DeepSpeed is not installed; pip install deepspeed, or use FSDP")
    if deepspeed.get("gradient_accumulation_steps", "auto") != "auto":
        why.append(
            f"its gradient_accumulation_steps = {deepspeed['gradient_accumulation_steps']} would "
            'change the batch, which trainer.batch_size decides; write "auto"'
        )
    if deepspeed.get("zero_stage") == 3 and not deepspeed.get("zero3_save_16bit_model"):
        why.append("without zero3_save_16bit_model = true the checkpoint can't be written")
    return why
