"""The one maker of tiny models with random weights: a checkpoint's folder in a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.helpers.tiny_tokenizers import bytes_tokenizer, characters_tokenizer, words_tokenizer

OWN_SETTINGS = {
    "do_sample": True,
    "temperature": 0.2,
    "top_k": 2,
    "top_p": 0.3,
    "min_p": 0.5,
    "repetition_penalty": 1.8,
    "no_repeat_ngram_size": 2,
    "bad_words_ids": [[5], [9], [12]],
    "begin_suppress_tokens": [20, 21, 22, 23],
    "max_new_tokens": 3,
}
"""What a checkpoint may say of sampling in its generation_config.json; no engine may heed it."""


@dataclass(frozen=True, kw_only=True)
class TinyModel:
    """What a tiny model is; weights are drawn from `seed` with standard deviation `spread`."""

    tokenizer: Callable[[], Any] = bytes_tokenizer
    architecture: Literal["qwen2", "bert"] = "qwen2"
    width: int = 32
    inner: int = 64
    layers: int = 2
    heads: int = 2
    key_value_heads: int = 1
    context: int = 256
    spread: float = 0.02
    seed: int = 0
    names_padding: bool = False
    """Whether the model's config holds the id of the pad token."""
    generation: Mapping[str, Any] = field(default_factory=dict)
    """What its generation_config.json says; empty, what transformers writes by itself."""
    also_ends: str = ""
    """A second end token of `generation`, beside the tokenizer's."""


FOR_TRAINING = TinyModel()
"""A Qwen2 of 30 thousand weights."""

FOR_SAMPLING = TinyModel(
    tokenizer=characters_tokenizer,
    width=64,
    inner=128,
    key_value_heads=2,
    context=128,
    spread=0.3,
    names_padding=True,
    generation=OWN_SETTINGS,
    also_ends="z",
)
"""A Qwen2 of some 90,000 weights, drawn wide enough that its greedy answers differ.

It has sampling settings of its own, and a second end token beside the tokenizer's.
"""

FOR_EMBEDDING = TinyModel(
    tokenizer=words_tokenizer, architecture="bert", inner=32, layers=1, context=16, spread=1.0
)
"""A BERT of random weights and a vocabulary of ten words."""


def save_model(folder: Path, tiny: TinyModel = FOR_TRAINING) -> Path:
    """The model and its tokenizer, written into `folder`."""
    import torch

    tokenizer = tiny.tokenizer()
    torch.manual_seed(tiny.seed)
    model = _bert(tiny, tokenizer) if tiny.architecture == "bert" else _qwen2(tiny, tokenizer)
    if tiny.generation:
        model.generation_config = _generation(tiny, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _sizes(tiny: TinyModel, tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": tiny.width,
        "intermediate_size": tiny.inner,
        "num_hidden_layers": tiny.layers,
        "num_attention_heads": tiny.heads,
        "max_position_embeddings": tiny.context,
        "initializer_range": tiny.spread,
    }


def _qwen2(tiny: TinyModel, tokenizer: Any) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        **_sizes(tiny, tokenizer),
        num_key_value_heads=tiny.key_value_heads,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **({"pad_token_id": tokenizer.pad_token_id} if tiny.names_padding else {}),
    )
    return Qwen2ForCausalLM(config)


def _bert(tiny: TinyModel, tokenizer: Any) -> Any:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(**_sizes(tiny, tokenizer)))


def _generation(tiny: TinyModel, tokenizer: Any) -> Any:
    from transformers import GenerationConfig

    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(tiny.also_ends)]
    return GenerationConfig(eos_token_id=ends, **tiny.generation)


def save_adapter(folder: Path, base: Path, rank: int = 4) -> Path:
    """A LoRA adapter for `base` whose two factors are both random, so that it changes answers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    settings = LoraConfig(
        r=rank, lora_alpha=4 * rank, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    model = AutoModelForCausalLM.from_pretrained(base)
    get_peft_model(model, settings).save_pretrained(folder)
    return folder
