"""From training rows to token ids and labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ratchet.generation.prompts import prompt_token_ids
from ratchet.records import SftRow
from trainers.data.tokens import IGNORED, check_end_token, completion_token_ids


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One tokenized row; `labels` holds `IGNORED` on the prompt."""

    SEQUENCES: ClassVar[int] = 1
    NAMES: ClassVar[str] = "problem/attempt"

    name: str
    input_ids: list[int]
    labels: list[int]
    weight: float

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def tokens(self) -> int:
        return len(self.input_ids)

    @property
    def tokens_learned(self) -> int:
        return sum(label != IGNORED for label in self.labels)


def encode_row(tokenizer: Any, row: SftRow) -> EncodedRow:
    """Prompt ids as in sampling, then the completion's ids and its end token, unless it was cut."""
    prompt = prompt_token_ids(tokenizer, row.prompt)
    learned = completion_token_ids(tokenizer, row.completion, row.finish_reason)
    return EncodedRow(
        name=f"{row.problem_id}/{row.attempt}",
        input_ids=prompt + learned,
        labels=[IGNORED] * len(prompt) + learned,
        weight=row.weight,
    )


def encode_rows(
    tokenizer: Any, rows: Iterable[SftRow], max_length: int
) -> tuple[list[EncodedRow], int]:
    """(examples of at most `max_length` tokens, number of rows dropped as longer).

    Raises:
        InputError: if the tokenizer has no end token.
    """
    check_end_token(tokenizer)
    examples = [encode_row(tokenizer, row) for row in rows]
    kept = [example for example in examples if len(example) <= max_length]
    return kept, len(examples) - len(kept)
