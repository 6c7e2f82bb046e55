"""From problems to shards: what the strategy asks for goes to the engine, and is scored.

Requests for all missing shards are one stream, so there is no barrier between shards; a shard is
written as soon as its problems are done, in their order, whatever the engine's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic

from ratchet.generation.engine import (
    Completer,
    Output,
    Request,
    RequestSource,
    SampledGroup,
    Sampling,
)
from ratchet.generation.prompt_room import PromptRoom
from ratchet.generation.shards import ShardPlan, Throughput
from ratchet.generation.strategy import GroupScorer, ScoredGroup, Strategy
from ratchet.policy import Policy
from ratchet.records import Problem, RowT
from ratchet.store.artifacts import Workspace
from ratchet.verifier.grade_file import write_grades
from ratchet.verifier.grades import Grade

Generate = Callable[[RequestSource], Iterator[SampledGroup]]
OnGroup = Callable[[ScoredGroup], None]
"""Told of each group as soon as it is there and scored."""


def ignore(group: ScoredGroup) -> None:
    """The `OnGroup` of who needs none."""


@dataclass(frozen=True)
class Asker:
    """Asks an engine for one set's completions by one policy."""

    completer: Completer
    policy: Policy
    sampling: Sampling
    room: PromptRoom
    throughput: Throughput

    def __call__(self, requests: RequestSource) -> Iterator[SampledGroup]:
        """Raises InputError where more prompts than are allowed have no room in the engine."""
        timed = _Timed(requests, self.throughput)
        return self.room.checked(self.completer.generate(self.policy, self.sampling, timed))


@dataclass
class DrawnProblem:
    """All that was drawn for one problem, request by request in the order of asking."""

    problem: Problem
    asked: list[str] = field(default_factory=list)
    by_request: dict[str, ScoredGroup] = field(default_factory=dict)

    @property
    def groups(self) -> list[ScoredGroup]:
        return [self.by_request[name] for name in self.asked]

    @property
    def grades(self) -> list[Grade | None]:
        """Grade by grade, in the order of the rows; empty where nobody scored."""
        return [grade for group in self.groups for grade in group.grades]

    @property
    def accepted(self) -> int:
        return sum(group.accepted for group in self.by_request.values())

    def outputs(self) -> Iterator[tuple[Request, SampledGroup, Output]]:
        """Each completion with where it comes from, in the order of the rows."""
        for each in self.groups:
            for output in each.group.outputs:
                yield each.request, each.group, output

    @property
    def is_done(self) -> bool:
        return len(self.by_request) == len(self.asked)


@dataclass(frozen=True)
class Drawing(Generic[RowT]):
    """How a set's completions are drawn, scored, and made rows of.

    With `keep_grades` they are written beside each shard, for whoever needs them next.
    """

    strategy: Strategy
    generate: Generate
    to_rows: Callable[[DrawnProblem], list[RowT]]
    row_type: type[RowT]
    scorer: GroupScorer | None = None
    keep_grades: bool = False
    on_group: OnGroup = ignore


def fill_shards(
    plan: ShardPlan, out: Workspace, drawing: Drawing[RowT]
) -> Iterator[tuple[DrawnProblem, list[RowT]]]:
    """Draw every problem of the missing shards, write each shard as soon as it is complete.

    Yields each problem and its rows once it is done, before they are on disk. Memory holds what is
    in flight and the problems of shards not yet complete.

    Raises:
        RuntimeError: if the engine ends its stream with problems not done.
    """
    if not plan.missing:
        return  # an engine that is not running need not be started for nothing
    feed = _Feed(plan.missing_problems(), drawing.strategy)
    shards = _OpenShards(plan, out, drawing)

    def settle() -> Iterator[tuple[DrawnProblem, list[RowT]]]:
        for drawn in feed.those_done():
            rows = drawing.to_rows(drawn)
            yield drawn, rows
            shards.add(drawn, rows)

    for group in drawing.generate(feed):
        scored = feed.scored(group, drawing.scorer)
        drawing.on_group(scored)
        feed.take_in(scored)
        yield from settle()
    yield from settle()  # problems for which nothing was asked
    if shards.num_open:
        raise RuntimeError(
            f"the engine's stream ended with {shards.num_open} of {len(plan.missing)} shards "
            "incomplete; this is a defect of the engine, the finished shards are kept"
        )


class _Timed:
    """A source that sets the clock when it is first asked."""

    def __init__(self, source: RequestSource, throughput: Throughput) -> None:
        self._source = source
        self._throughput = throughput
        self._asked = False

    def take(self) -> Request | None:
        if not self._asked:
            self._asked = True
            self._throughput.begin()
        return self._source.take()


class _Feed:
    """What is asked next: first what begun problems still want, so that shards close early."""

    def __init__(self, problems: Iterator[Problem], strategy: Strategy) -> None:
        self._fresh = problems
        self._strategy = strategy
        self._wanted: deque[Request] = deque()
        self._open: dict[str, DrawnProblem] = {}
        self._requests: dict[str, Request] = {}
        self._done: deque[DrawnProblem] = deque()

    def take(self) -> Request | None:
        """As `RequestSource.take`: begins the next problem where nothing else is wanted."""
        while not self._wanted:
            problem = next(self._fresh, None)
            if problem is None:
                return None
            drawn = self._open[problem.problem_id] = DrawnProblem(problem)
            self._ask(drawn, self._strategy.begin(problem))
        return self._wanted.popleft()

    def _ask(self, drawn: DrawnProblem, requests: Iterable[Request]) -> None:
        for request in requests:
            if request.request_id in self._requests or request.request_id in drawn.by_request:
                raise RuntimeError(
                    f"two requests are named {request.request_id!r}; this is a defect of the "
                    f"strategy {type(self._strategy).__name__}"
                )
            self._requests[request.request_id] = request
            drawn.asked.append(request.request_id)
            self._wanted.append(request)
        if drawn.is_done:
            self._done.append(self._open.pop(drawn.problem.problem_id))

    def scored(self, group: SampledGroup, scorer: GroupScorer | None) -> ScoredGroup:
        """A group with its request, and its grades where somebody scores."""
        request = self._requests.pop(group.request_id)
        problem = self._open[request.problem_id].problem
        grades = scorer.score(problem, group.outputs) if scorer else []
        return ScoredGroup(request, group, grades)

    def take_in(self, scored: ScoredGroup) -> None:
        """Keep a group, and ask for what the strategy wants more."""
        drawn = self._open[scored.request.problem_id]
        drawn.by_request[scored.request.request_id] = scored
        self._ask(drawn, self._strategy.on_group(scored))

    def those_done(self) -> Iterator[DrawnProblem]:
        while self._done:
            yield self._done.popleft()


class _OpenShards(Generic[RowT]):
    """The shards that are not complete, and the rows that wait for them."""

    def __init__(self, plan: ShardPlan, out: Workspace, drawing: Drawing[RowT]) -> None:
        self._plan = plan
        self._out = out
        self._drawing = drawing
        self._shard_of = {p.problem_id: i for i in plan.missing for p in plan.shard(i)}
        self._open = {index: len(plan.shard(index)) for index in plan.missing}
        self._waiting: dict[str, tuple[list[RowT], list[Grade | None]]] = {}

    @property
    def num_open(self) -> int:
        return len(self._open)

    def add(self, drawn: DrawnProblem, rows: list[RowT]) -> None:
        """Take a problem in; write its shard if it was the last of it."""
        index = self._shard_of[drawn.problem.problem_id]
        grades = drawn.grades if self._drawing.keep_grades else []
        self._waiting[drawn.problem.problem_id] = rows, grades
        self._open[index] -= 1
        if not self._open[index]:
            del self._open[index]
            self._write(index)

    def _write(self, index: int) -> None:
        problems = [self._waiting.pop(p.problem_id) for p in self._plan.shard(index)]
        rows = (row for each, _ in problems for row in each)
        part = self._out.write_part(index, rows, self._drawing.row_type)
        if self._drawing.keep_grades and self._drawing.scorer:
            grades = [grade for _, each in problems for grade in each]
            write_grades(self._out, part, grades, self._drawing.scorer.key)
