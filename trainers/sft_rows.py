"""From training rows to token ids and labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ratchet.errors import InputError
from ratchet.prompts import prompt_token_ids
from ratchet.records import SftRow

IGNORED = -100
"""The label of a token that carries no loss."""


@dataclass(frozen=True, slots=True)
class Example:
    """One tokenized row; `labels` holds `IGNORED` on the prompt."""

    name: str
    input_ids: list[int]
    labels: list[int]
    weight: float

    def __len__(self) -> int:
        return len(self.input_ids)


def encode_row(tokenizer: Any, row: SftRow) -> Example:
    """Prompt ids as in sampling, then the completion's ids and the end token."""
    prompt = prompt_token_ids(tokenizer, row.prompt)
    completion: list[int] = tokenizer(row.completion, add_special_tokens=False)["input_ids"]
    learned = [*completion, tokenizer.eos_token_id]
    return Example(
        name=f"{row.problem_id}/{row.attempt}",
        input_ids=prompt + learned,
        labels=[IGNORED] * len(prompt) + learned,
        weight=row.weight,
    )


def encode_rows(
    tokenizer: Any, rows: Iterable[SftRow], max_length: int
) -> tuple[list[Example], int]:
    """(examples of at most `max_length` tokens, number of rows dropped as longer).

    Raises:
        InputError: if the tokenizer has no end token.
    """
    if tokenizer.eos_token_id is None:
        raise InputError(
            "the model's tokenizer has no eos_token, so the model can't learn where a completion "
            "ends; set eos_token in the checkpoint's tokenizer_config.json"
        )
    examples = [encode_row(tokenizer, row) for row in rows]
    kept = [example for example in examples if len(example) <= max_length]
    return kept, len(examples) - len(kept)
