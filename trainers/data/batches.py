"""Which rows make up which optimizer step: decided before training, by the seed alone.

The order is one fixed list over all epochs. It is the same on any number of devices, and a
training that was cut goes on in it at any step.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.errors import InputError
from trainers.config.base import TrainerBase
from trainers.config.rows import RowsConfig

WINDOW_STEPS = 50
"""Rows are sorted by length within windows of so many steps: enough for little padding, and few
enough for batches that still differ from epoch to epoch."""


@dataclass(frozen=True, slots=True)
class BatchSplit:
    """How an effective batch is split: devices x accumulation steps x rows at once."""

    devices: int
    device_batch_size: int
    accumulation_steps: int

    @classmethod
    def of(cls, config: TrainerBase, devices: int) -> BatchSplit:
        """The split of `config.batch_size` over `devices` (a CPU counts as one).

        Raises:
            InputError: if no whole number of accumulation steps gives the effective batch size.
        """
        at_once = config.device_batch_size or config.batch_size // devices
        steps, rest = divmod(config.batch_size, max(at_once, 1) * devices)
        if rest or not steps:
            raise InputError(
                f"batch_size={config.batch_size} can't be split over {devices} devices of "
                f"{max(at_once, 1)} rows each; choose a batch_size that is a multiple of "
                "devices x device_batch_size"
            )
        return cls(devices, at_once, steps)

    @property
    def batch_size(self) -> int:
        return self.devices * self.device_batch_size * self.accumulation_steps


def num_steps(config: TrainerBase, num_rows: int) -> int:
    """Optimizer steps of a training on `num_rows` rows; the last epoch's part is rounded up."""
    if config.max_steps is not None:
        return config.max_steps
    return math.ceil((config.epochs or 0) * num_rows / config.rows_per_step)


def row_order(config: TrainerBase, lengths: Sequence[int], seed: int) -> list[int]:
    """Indices of all rows in training order, `rows_per_step` of them per step.

    One shuffle of all rows follows another; the last step is filled up from the next shuffle.
    """
    total = num_steps(config, len(lengths)) * config.rows_per_step
    rng = random.Random(seed)
    order: list[int] = []
    while len(order) < total:
        order += rng.sample(range(len(lengths)), len(lengths))
    order = order[:total]
    if not (isinstance(config, RowsConfig) and config.group_by_length):
        return order
    return _grouped(order, lengths, config.batch_size, rng)


def _grouped(
    order: list[int], lengths: Sequence[int], batch_size: int, rng: random.Random
) -> list[int]:
    """`order` with rows of like length in one batch, and the batches of a window shuffled."""
    grouped: list[int] = []
    window = WINDOW_STEPS * batch_size
    for start in range(0, len(order), window):
        rows = sorted(order[start : start + window], key=lengths.__getitem__, reverse=True)
        batches = [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
        rng.shuffle(batches)
        grouped += [row for batch in batches for row in batch]
    return grouped


def shared(rows: Sequence[int], at_once: int, device: int, devices: int) -> list[list[int]]:
    """The batches of one of several devices, as many on each: sharded weights are gathered by all.

    Where the rows can't be shared evenly, some come on two devices.
    """
    mine = [
        rows[(device + devices * at) % len(rows)] for at in range(math.ceil(len(rows) / devices))
    ]
    return [mine[at : at + at_once] for at in range(0, len(mine), at_once)]


def padded_tokens(order: Sequence[int], lengths: Sequence[int], rows_at_once: int) -> int:
    """Tokens that go through the model, padding included, where `lengths` counts those of a row."""
    padded = 0
    for at in range(0, len(order), rows_at_once):
        rows = order[at : at + rows_at_once]
        padded += len(rows) * max(lengths[row] for row in rows)
    return padded
