"""From pairs of completions to token ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ratchet.generation.prompts import prompt_token_ids
from ratchet.records import DpoRow
from trainers.data.tokens import check_end_token, completion_token_ids


@dataclass(frozen=True, slots=True)
class Pair:
    """One tokenized pair; both completions hold their end token, unless they were cut."""

    SEQUENCES: ClassVar[int] = 2
    NAMES: ClassVar[str] = "problem/chosen attempt>rejected attempt"

    name: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]

    def __len__(self) -> int:
        """Tokens of the longer side, which the other is padded to."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))

    @property
    def tokens(self) -> int:
        return 2 * len(self.prompt_ids) + self.tokens_learned

    @property
    def tokens_learned(self) -> int:
        return len(self.chosen_ids) + len(self.rejected_ids)


def encode_pair(tokenizer: Any, row: DpoRow) -> Pair:
    """Prompt ids as in sampling, and each side's ids with its end token, unless it was cut."""
    return Pair(
        name=f"{row.problem_id}/{row.chosen_attempt}>{row.rejected_attempt}",
        prompt_ids=prompt_token_ids(tokenizer, row.prompt),
        chosen_ids=completion_token_ids(tokenizer, row.chosen, row.chosen_finish_reason),
        rejected_ids=completion_token_ids(tokenizer, row.rejected, row.rejected_finish_reason),
    )


def encode_pairs(tokenizer: Any, rows: Iterable[DpoRow], max_length: int) -> tuple[list[Pair], int]:
    """(pairs whose sides both have at most `max_length` tokens, number of pairs dropped).

    Raises:
        InputError: if the tokenizer has no end token.
    """
    check_end_token(tokenizer)
    pairs = [encode_pair(tokenizer, row) for row in rows]
    kept = [pair for pair in pairs if len(pair) <= max_length]
    return kept, len(pairs) - len(kept)
