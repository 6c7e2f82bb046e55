"""Tiny models with random weights for the trainers' tests, made in a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "

_BOS_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}<turn>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
_CHATML_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Chat:
    """How a tokenizer marks turns.

    `bos` is put before every text by the tokenizer itself, and once more by the template.
    """

    template: str = TEMPLATE
    end: str = "<end>"
    special: tuple[str, ...] = ()
    bos: str | None = None


PLAIN = Chat()
WITH_BOS = Chat(_BOS_TEMPLATE, "<turn>", bos="<bos>")
CHATML = Chat(_CHATML_TEMPLATE, "<|im_end|>", special=("<|im_start|>",))


def make_tokenizer(chat: Chat = PLAIN) -> Any:
    """One token per byte, an end token, a pad token and those of `chat`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    marks = [chat.end, "<pad>", *chat.special, *([chat.bos] if chat.bos else [])]
    vocab |= {mark: len(vocab) + at for at, mark in enumerate(marks)}
    bytes_only = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    if chat.bos:
        bytes_only.post_processor = processors.TemplateProcessing(
            single=f"{chat.bos} $A", special_tokens=[(chat.bos, vocab[chat.bos])]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only,
        bos_token=chat.bos,
        eos_token=chat.end,
        pad_token="<pad>",
        additional_special_tokens=list(chat.special),
    )
    tokenizer.chat_template = chat.template
    return tokenizer


def save_model(folder: Path, seed: int = 0, spread: float = 0.02, chat: Chat = PLAIN) -> Path:
    """A Qwen2 of 30 thousand weights, drawn with standard deviation `spread`, and its tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = make_tokenizer(chat)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=spread,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
