"""What a reward takes and gives; importable without torch, as a reward's own process does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ratchet.records import FinishReason, GrpoRow


@dataclass(frozen=True, slots=True)
class Sampled:
    """One completion to be rewarded; `num_tokens` counts its end token too."""

    row: GrpoRow
    completion: str
    finish_reason: FinishReason
    num_tokens: int


Values = Sequence[float | None]
READY = "ready"
"""What a reward's own process says first."""
Reward = Callable[[Sequence[Sampled]], Values]


class RewardFailed(Exception):
    """A reward gave no values for a batch; the message says why."""
