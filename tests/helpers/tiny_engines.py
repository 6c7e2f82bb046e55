"""Tiny models and tokenizers with random weights, made in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789 +-*/=?.<>\n"
SPECIAL = ["<pad>", "<bos>", "<eos>"]
TEMPLATE = (
    "<bos>{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
CONTEXT = 128
ALSO_ENDS = "z"
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


def save_tokenizer(folder: Path) -> Any:
    """One token per character. It adds a BOS by itself, and its chat template writes one too."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: at for at, token in enumerate([*SPECIAL, *CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    return fast


def save_model(folder: Path, seed: int) -> Path:
    """A Qwen2 of some 90,000 weights, drawn wide enough that its greedy answers differ.

    It has sampling settings of its own, and a second end token beside the tokenizer's.
    """
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    tokenizer = save_tokenizer(folder)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen2ForCausalLM(config).float()
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(ALSO_ENDS)]
    model.generation_config = GenerationConfig(eos_token_id=ends, **OWN_SETTINGS)
    model.save_pretrained(folder)
    return folder


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
