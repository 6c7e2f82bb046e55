"""What a training goes through: its tokenized rows, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from ratchet.errors import InputError
from trainers.config.base import TrainerBase
from trainers.data.batches import BatchSplit, padded_tokens, row_order
from trainers.job import TrainJob


class Trainable(Protocol):
    """A tokenized row.

    Its length is that of its longest sequence; it goes through the model as `SEQUENCES` of them.
    `NAMES` says what a `name` is made of.
    """

    @property
    def SEQUENCES(self) -> int: ...  # noqa: N802

    @property
    def NAMES(self) -> str: ...  # noqa: N802

    @property
    def name(self) -> str: ...

    @property
    def tokens(self) -> int: ...

    @property
    def tokens_learned(self) -> int: ...

    def __len__(self) -> int: ...


RowT = TypeVar("RowT", bound=Trainable)


@dataclass(frozen=True)
class Plan(Generic[RowT]):
    """The rows of a training and their order, `rows_per_step` of them per step."""

    examples: Sequence[RowT]
    order: Sequence[int]
    too_long: int
    split: BatchSplit
    rows_per_step: int
    held_out: Sequence[RowT] = ()
    """Rows on which the loss is looked at, and which are not trained on."""

    @property
    def steps(self) -> int:
        return len(self.order) // self.rows_per_step

    def step_rows(self, step: int) -> list[RowT]:
        """The rows of a step, counted from 0."""
        size = self.rows_per_step
        return [self.examples[index] for index in self.order[step * size : (step + 1) * size]]

    def tokens(self, step: int) -> int:
        """Tokens of a step, without padding."""
        return sum(example.tokens for example in self.step_rows(step))

    def metrics(self, steps: int) -> dict[str, Any]:
        """Counts over a training of so many steps."""
        done = [self.examples[index] for index in self.order[: steps * self.rows_per_step]]
        return {
            "steps": steps,
            "rows": len(self.examples),
            "rows_too_long": self.too_long,
            "tokens": sum(example.tokens for example in done),
            "tokens_learned": sum(example.tokens_learned for example in done),
            "padding_share": round(self.padding_share(), 4),
        }

    def padding_share(self) -> float:
        """Share of pad tokens among all tokens that go through the model, where rows are padded."""
        lengths = [len(example) for example in self.examples]
        padded = padded_tokens(self.order, lengths, self.split.device_batch_size)
        tokens = sum(self.examples[index].tokens for index in self.order)
        return 1 - tokens / (padded * self.examples[0].SEQUENCES)


def make_plan(
    config: TrainerBase,
    encoded: tuple[Sequence[RowT], int],
    job: TrainJob,
    held_out: tuple[Sequence[RowT], int] = ((), 0),
) -> Plan[RowT]:
    """Decide the order of `encoded`: tokenized rows, and how many were dropped as too long.

    Raises:
        InputError: if too few rows are left.
    """
    examples, too_long = encoded
    if len(examples) < config.min_rows:
        raise InputError(
            f"{len(examples)} of {len(examples) + too_long} training rows have at most "
            f"trainer.max_length={config.max_length} tokens, fewer than trainer.min_rows="
            f"{config.min_rows}; raise max_length, or lower min_rows"
        )
    order = row_order(config, [len(example) for example in examples], job.seed)
    watched, watched_too_long = held_out
    if watched_too_long and not watched:
        raise InputError(
            f"none of the {watched_too_long} rows held out for trainer.early_stopping has at most "
            f"trainer.max_length={config.max_length} tokens; raise max_length or held_out"
        )
    return Plan(
        examples,
        order,
        too_long + watched_too_long,
        BatchSplit(**job.split),
        config.rows_per_step,
        watched,
    )
