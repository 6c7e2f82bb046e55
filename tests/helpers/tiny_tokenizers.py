"""Tokenizers of the tiny models: a token per byte, per character, or per word."""

from __future__ import annotations

from dataclasses import dataclass
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
_CHARACTERS_TEMPLATE = (
    "<bos>{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789 +-*/=?.<>\n"


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


def bytes_tokenizer(chat: Chat = PLAIN) -> Any:
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


def characters_tokenizer() -> Any:
    """One token per character. It adds a BOS by itself, and its chat template writes one too."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<bos>", "<eos>"]
    vocabulary = {token: at for at, token in enumerate([*special, *_CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )
    fast.chat_template = _CHARACTERS_TEMPLATE
    return fast


def words_tokenizer() -> Any:
    """Eight words of one letter; every other word is unknown."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: at for at, word in enumerate(["[PAD]", "[UNK]", *"abcdefgh"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
