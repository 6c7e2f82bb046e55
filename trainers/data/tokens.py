"""From a row's texts to token ids, the same for every trainer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ratchet.errors import InputError
from ratchet.generation.prompts import prompt_token_ids
from ratchet.records import FinishReason

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


class PromptRow(Protocol):
    """What every training row has of its prompt."""

    @property
    def problem_id(self) -> str: ...

    @property
    def prompt(self) -> str: ...


def check_prompts(tokenizer: Any, rows: Iterable[PromptRow], sampled: Mapping[str, int]) -> None:
    """Refuse rows that another tokenizer, or another chat template, made the prompts of.

    `sampled` maps some problems to the tokens that their prompts had when they were sampled.

    Raises:
        InputError: if a prompt has another number of tokens now.
    """
    for row in rows:
        before = sampled.get(row.problem_id)
        now = len(prompt_token_ids(tokenizer, row.prompt)) if before else before
        if now != before:
            raise InputError(
                f"the prompt of problem {row.problem_id} had {before} tokens when it was sampled "
                f"and has {now} for the model to be trained, so the rows are for another tokenizer "
                "or chat template; train the model that was sampled, or sample the one to be "
                "trained"
            )


def completion_token_ids(
    tokenizer: Any, completion: str, finish_reason: FinishReason = "stop"
) -> list[int]:
    """The completion's ids and the end token: what is learned.

    One that was cut at its length limit did not end there, so it has no end token.
    """
    ids: list[int] = tokenizer(completion, add_special_tokens=False)["input_ids"]
    return ids if finish_reason == "length" else [*ids, tokenizer.eos_token_id]
