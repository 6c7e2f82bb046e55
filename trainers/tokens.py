"""From a row's texts to token ids, the same for every trainer."""

from __future__ import annotations

from typing import Any

from ratchet.errors import InputError

IGNORED = -100
"""The label of a token that carries no loss."""


def check_end_token(tokenizer: Any) -> None:
    """Refuse a tokenizer that has no token to end a completion with.

    Raises:
        InputError: if it has none.
    """
    if tokenizer.eos_token_id is None:
        raise InputError(
            "the model's tokenizer has no eos_token, so the model can't learn where a completion "
            "ends; set eos_token in the checkpoint's tokenizer_config.json"
        )


def completion_token_ids(tokenizer: Any, completion: str) -> list[int]:
    """The completion's ids and the end token: what is learned."""
    ids: list[int] = tokenizer(completion, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id]
