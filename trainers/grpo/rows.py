"""From problems to prompts' token ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ratchet.generation.prompts import prompt_token_ids
from ratchet.records import GrpoRow
from trainers.data.tokens import check_end_token


@dataclass(frozen=True, slots=True)
class Task:
    """One problem to sample completions of; its length is that of its prompt."""

    SEQUENCES: ClassVar[int] = 1
    NAMES: ClassVar[str] = "problem"

    row: GrpoRow
    prompt_ids: list[int]

    def __len__(self) -> int:
        return len(self.prompt_ids)

    @property
    def name(self) -> str:
        return self.row.problem_id

    @property
    def tokens(self) -> int:
        return len(self.prompt_ids)

    @property
    def tokens_learned(self) -> int:
        """None of the prompt's."""
        return 0


def encode_tasks(
    tokenizer: Any, rows: Iterable[GrpoRow], max_prompt_tokens: int
) -> tuple[list[Task], int]:
    """(tasks with prompts of at most `max_prompt_tokens`, number of rows dropped as longer).

    Raises:
        InputError: if the tokenizer has no end token.
    """
    check_end_token(tokenizer)
    tasks = [Task(row, prompt_token_ids(tokenizer, row.prompt)) for row in rows]
    kept = [task for task in tasks if len(task) <= max_prompt_tokens]
    return kept, len(tasks) - len(kept)
