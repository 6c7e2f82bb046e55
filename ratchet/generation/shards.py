"""From a stream of groups in any order to shards in the problems' order.

The shard is the unit of restart: what is finished and whole is not asked for again. Requests for
all missing shards are handed to the engine as one stream, so there is no barrier between shards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ratchet.generation.engine import Request, SampledGroup
from ratchet.progress import Step
from ratchet.records import Problem, RowT
from ratchet.store.artifacts import Workspace

Generate = Callable[[Iterable[Request]], Iterator[SampledGroup]]


@dataclass(frozen=True)
class ShardPlan:
    """Which problems' groups go into which shard, and which shards are missing."""

    problems: Sequence[Problem]
    group_size: int
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
        return cls(problems, group_size, per_shard, missing)

    @property
    def num_shards(self) -> int:
        return -(-len(self.problems) // self.problems_per_shard)

    def shard(self, index: int) -> Sequence[Problem]:
        start = index * self.problems_per_shard
        return self.problems[start : start + self.problems_per_shard]

    @property
    def finished(self) -> tuple[int, ...]:
        return tuple(sorted({*range(self.num_shards)} - {*self.missing}))

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

    def timed(self, requests: Iterable[Request]) -> Iterator[Request]:
        """`requests`, with the clock set at the moment the first is taken."""
        self.began = time.monotonic()
        yield from requests

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


def fill_shards(
    plan: ShardPlan,
    out: Workspace,
    generate: Generate,
    to_rows: Callable[[Problem, SampledGroup], list[RowT]],
    row_type: type[RowT],
) -> Iterator[tuple[Problem, list[RowT]]]:
    """Ask for every group of the missing shards, write each shard as soon as it is complete.

    Yields each group's rows as they come, before they are on disk. Memory holds the groups in
    flight and those of shards not yet complete.

    Raises:
        RuntimeError: if the engine ends its stream with groups missing.
    """
    if not plan.missing:
        return  # an engine that is not running need not be started for nothing
    places = {p.problem_id: (i, p) for i in plan.missing for p in plan.shard(i)}
    open_shards = {index: len(plan.shard(index)) for index in plan.missing}
    waiting: dict[str, list[RowT]] = {}

    def requests() -> Iterator[Request]:
        for _, problem in places.values():
            yield Request(problem.problem_id, problem.problem, plan.group_size)

    for group in generate(requests()):
        index, problem = places[group.problem_id]
        rows = waiting[group.problem_id] = to_rows(problem, group)
        open_shards[index] -= 1
        yield problem, rows
        if not open_shards[index]:
            del open_shards[index]
            shard = (row for p in plan.shard(index) for row in waiting.pop(p.problem_id))
            out.write_part(index, shard, row_type)
    if open_shards:
        raise RuntimeError(
            f"the engine's stream ended with {len(open_shards)} of {len(plan.missing)} shards "
            "incomplete; this is a defect of the engine, the finished shards are kept"
        )
