"""Which problems go into which shard, and how far an attempt at them has come.

The shard is the unit of restart: what is finished and whole is not asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ratchet.progress import Step
from ratchet.records import Problem
from ratchet.store.artifacts import Workspace


@dataclass(frozen=True)
class ShardPlan:
    """Which problems' completions go into which shard, and which shards are missing."""

    problems: Sequence[Problem]
    problems_per_shard: int
    missing: tuple[int, ...]

    @classmethod
    def of(
        cls, problems: Sequence[Problem], group_size: int, shard_size: int, out: Workspace
    ) -> ShardPlan:
        """A plan of shards of `shard_size` completions, rounded down to whole groups.

        Counted in completions and not in problems, so that memory does not grow with the group.
        """
        per_shard = max(1, shard_size // group_size)
        shards = range(-(-len(problems) // per_shard))
        missing = tuple(index for index in shards if out.finished_part(index) is None)
        return cls(problems, per_shard, missing)

    @property
    def num_shards(self) -> int:
        return -(-len(self.problems) // self.problems_per_shard)

    def shard(self, index: int) -> Sequence[Problem]:
        start = index * self.problems_per_shard
        return self.problems[start : start + self.problems_per_shard]

    @property
    def finished(self) -> tuple[int, ...]:
        return tuple(sorted({*range(self.num_shards)} - {*self.missing}))

    def missing_problems(self) -> Iterator[Problem]:
        """The problems of the missing shards, in order."""
        for index in self.missing:
            yield from self.shard(index)

    @property
    def num_missing_problems(self) -> int:
        return sum(len(self.shard(index)) for index in self.missing)


class HasTokens(Protocol):
    """A row that counts its tokens."""

    @property
    def num_tokens(self) -> int: ...


@dataclass
class Throughput:
    """What one attempt at a stage has done so far, and how long the engine worked for it."""

    total: int
    done: int = 0
    tokens: int = 0
    completions: int = 0
    accepted: int | None = None
    began: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """Set the clock: the engine asks for its first request."""
        self.began = time.monotonic()

    def add(self, completions: Sequence[HasTokens], accepted: int | None) -> Step:
        """Count one group in, and report."""
        self.done += 1
        self.completions += len(completions)
        self.tokens += sum(completion.num_tokens for completion in completions)
        if accepted is not None:
            self.accepted = (self.accepted or 0) + accepted
        return Step(self.done, self.total, self.tokens, self.accepted, self.completions)

    def metrics(self) -> dict[str, Any]:
        """Seconds from the engine's first request on, and its speed; of this attempt alone."""
        seconds = time.monotonic() - self.began
        rate = round(self.tokens / seconds, 1) if self.done else None
        return {"work_seconds": round(seconds, 3), "tokens_per_second": rate}
