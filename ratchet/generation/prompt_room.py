"""Prompts that the engine has no room for: a few go unanswered, more stop the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from ratchet.errors import InputError
from ratchet.generation.engine import PROMPT_TOO_LONG, SampledGroup


def too_long_in(parts: Iterable[Path], column: str, first_attempt: int = 0) -> int:
    """The prompts that finished parts found too long, by the column that says so; reads no text.

    Each problem is counted by the row of its first attempt in the parts.
    """
    return sum(
        (row["attempt"], row[column]) == (first_attempt, PROMPT_TOO_LONG)
        for part in parts
        for row in pq.read_table(part, columns=["attempt", column]).to_pylist()
    )


@dataclass
class PromptRoom:
    """Counts the prompts of one problem set that are too long.

    `section` of the config holds `max_too_long`, which is `allowed`; `too_long` counts those of
    shards that are finished already.
    """

    section: str
    set_name: str
    allowed: float
    total: int
    too_long: int = 0
    longest: SampledGroup | None = None

    def checked(self, groups: Iterator[SampledGroup]) -> Iterator[SampledGroup]:
        """`groups`, as long as few enough have no room.

        Raises:
            InputError: naming the longest prompt so far, where they are too many.
        """
        for group in groups:
            if group.error == PROMPT_TOO_LONG:
                self._count(group)
            yield group

    def _count(self, group: SampledGroup) -> None:
        self.too_long += 1
        if self.longest is None or group.num_prompt_tokens > self.longest.num_prompt_tokens:
            self.longest = group
        if self.too_long > self.allowed * self.total:
            raise InputError(
                f"{self.too_long} of the {self.total} prompts of {self.set_name} leave no room "
                f"for a completion in the engine's {self.longest.limit} tokens, more than "
                f"{self.section}.max_too_long = {self.allowed:g} allows; the longest so far, of "
                f"problem {self.longest.problem_id}, has {self.longest.num_prompt_tokens} tokens. "
                "Raise engine.max_model_len to hold a prompt and its completion, as far as the "
                f"model's context goes, or leave long problems out of {self.set_name}"
            )
