"""Checkpoints in and out: the policy to train, and the folder that a policy is loaded from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import peft
import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from ratchet.errors import InputError
from ratchet.policy import Policy
from trainers.config import SftConfig
from trainers.config.base import LoraConfig, TrainerBase

_TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "additional_chat_templates/*",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "generation_config.json",
)
_REFERENCE_ADAPTER = "ref"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def compute_dtype(config: TrainerBase) -> torch.dtype:
    """What the model computes in."""
    if config.dtype != "auto":
        return _DTYPES[config.dtype]
    has_bfloat16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32


def load_tokenizer(policy: Policy) -> Any:
    return AutoTokenizer.from_pretrained(
        policy.model, revision=policy.revision, trust_remote_code=policy.trust_remote_code
    )


def load_model(policy: Policy, config: TrainerBase) -> Any:
    """The policy's model, ready to be trained; trained weights are float32.

    An adapter is gone on with by LoRA training, and merged for a training of all weights.

    Raises:
        InputError: if the policy's adapter is of another shape than `config.lora`.
    """
    model = load_weights(policy, config)
    if policy.adapter is None:
        return model
    if config.lora is None:
        return peft.PeftModel.from_pretrained(model, policy.adapter).merge_and_unload()
    _check_adapter(Path(policy.adapter), config.lora)
    return peft.PeftModel.from_pretrained(model, policy.adapter, is_trainable=True)


def load_weights(policy: Policy, config: TrainerBase) -> Any:
    """The policy's model without its adapter, in the precision that `config` trains it in."""
    model = AutoModelForCausalLM.from_pretrained(
        policy.model,
        revision=policy.revision,
        trust_remote_code=policy.trust_remote_code,
        dtype=compute_dtype(config) if config.lora else torch.float32,
        **_quantization(config),
        **_attention(config),
    )
    if config.lora is None or config.lora.quantize == "none":
        return model
    return peft.prepare_model_for_kbit_training(
        model, use_gradient_checkpointing=config.gradient_checkpointing
    )


def _quantization(config: TrainerBase) -> dict[str, Any]:
    """What `from_pretrained` is told of quantized weights, each process on a device of its own.

    NF4 with quantized constants is what QLoRA uses (https://arxiv.org/abs/2305.14314).
    """
    if config.lora is None or config.lora.quantize == "none":
        return {}
    four = config.lora.quantize == "4bit"
    quantized = BitsAndBytesConfig(
        load_in_4bit=four,
        load_in_8bit=not four,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype(config),
    )
    device = PartialState().local_process_index
    return {"quantization_config": quantized, "device_map": {"": device}}


def _attention(config: TrainerBase) -> dict[str, Any]:
    """What `from_pretrained` is told of attention: rows put end to end want one that skips."""
    if isinstance(config, SftConfig) and config.padding_free and torch.cuda.is_available():
        return {"attn_implementation": "flash_attention_2"}
    return {}


def _check_adapter(folder: Path, lora: LoraConfig) -> None:
    seen = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    if (seen["r"], seen["lora_alpha"]) != (lora.rank, lora.alpha):
        raise InputError(
            f"the incumbent's adapter has rank {seen['r']} and alpha {seen['lora_alpha']}, but "
            f"trainer.lora asks for {lora.rank} and {lora.alpha}; an adapter keeps its shape: "
            'give its own numbers, or start_from = "base"'
        )


def peft_config(policy: Policy, config: TrainerBase) -> Any:
    """The adapter to add, or None where there is none or the policy brings its own."""
    if config.lora is None or policy.adapter is not None:
        return None
    targets = config.lora.target_modules
    return peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )


def save_checkpoint(trainer: Any, policy: Policy, folder: Path, config: TrainerBase) -> None:
    """Write what `trainer` trained, loadable by transformers and vLLM, as safetensors.

    The folder's content depends on the weights alone, not on where things lie.
    """
    drop_reference_adapter(trainer.accelerator.unwrap_model(trainer.model_wrapped))
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    dtype = compute_dtype(config) if config.save_dtype == "auto" else _DTYPES[config.save_dtype]
    _restore_special_ids(model, policy)
    shutil.rmtree(folder, ignore_errors=True)
    if config.lora:
        # The weights below stay as they are; quantized ones can't even be converted.
        state = {name: weights for name, weights in state.items() if ".base_layer." not in name}
    else:
        model = model.to(dtype)
    model.save_pretrained(folder, state_dict=_converted(state, dtype))
    if config.lora:
        _tidy_adapter(folder, policy)
    add_tokenizer(policy, folder)


def _converted(state: Mapping[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The weights in a precision. Tied ones stay one tensor: two copies would both be written."""
    one = {(weights.data_ptr(), weights.shape): weights.to(dtype) for weights in state.values()}
    return {name: one[weights.data_ptr(), weights.shape] for name, weights in state.items()}


def drop_reference_adapter(model: Any) -> None:
    """Take out the copy that TRL makes of an adapter that is gone on with, if there is one."""
    if _REFERENCE_ADAPTER in getattr(model, "peft_config", {}):
        model.delete_adapter(_REFERENCE_ADAPTER)


def _restore_special_ids(model: Any, policy: Policy) -> None:
    """Undo what the trainer changed in the model's config.

    It writes the tokenizer's ids there, and end tokens for a missing pad token; the next training
    would then take the end token for padding, whose embedding gets no gradient.
    """
    original = AutoConfig.from_pretrained(
        policy.model, revision=policy.revision, trust_remote_code=policy.trust_remote_code
    ).get_text_config()
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(model.config.get_text_config(), name, getattr(original, name, None))


def _tidy_adapter(folder: Path, policy: Policy) -> None:
    """Take out of PEFT's files what differs between equal adapters: paths, and a set's order."""
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    if Path(policy.model).is_dir():
        settings["base_model_name_or_path"] = None
    if isinstance(settings["target_modules"], list):
        settings["target_modules"].sort()
    path.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def add_tokenizer(policy: Policy, folder: Path) -> None:
    """The tokenizer's own files, unchanged, where they lie in a folder."""
    source = Path(policy.model)
    if not source.is_dir():
        load_tokenizer(policy).save_pretrained(folder)
        return
    for pattern in _TOKENIZER_FILES:
        for file in source.glob(pattern):
            target = folder / file.relative_to(source)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, target)
