"""What is asked for each problem, and when it has enough: the Protocol of sampling strategies.

A strategy knows no engine and no file. Sampling and evaluation run through it alike; the strategies
that only sampling has are in `samplers.strategies`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ratchet.generation.engine import Output, Request, SampledGroup
from ratchet.records import Problem
from ratchet.verifier.grades import Grade


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """What came back for one request.

    `grades` has one entry for each completion, None for one that the engine failed on; it is empty
    where nobody scores.
    """

    request: Request
    group: SampledGroup
    grades: Sequence[Grade | None]

    @property
    def accepted(self) -> int:
        """How many of the completions are right."""
        return sum(grade is not None and grade.correct is True for grade in self.grades)


class GroupScorer(Protocol):
    """Grades completions beside sampling, while the engine works on the next ones."""

    @property
    def key(self) -> str:
        """What decides a grade beside problem and completion: under one key, the same grades."""

    def score(self, problem: Problem, outputs: Sequence[Output]) -> list[Grade | None]:
        """A grade for each completion, None for one that the engine failed on."""


class Strategy(Protocol):
    """What is asked for a problem. Calls come from one thread."""

    def begin(self, problem: Problem) -> Sequence[Request]:
        """The first requests for a problem; none where it is to have no completion."""

    def on_group(self, group: ScoredGroup) -> Sequence[Request]:
        """More requests for the group's problem; it is done once none of its is outstanding."""


@dataclass(frozen=True, slots=True)
class Independent:
    """`num_completions` completions of each problem, all asked for at once.

    `first_attempt`: how many of each were drawn before.
    """

    num_completions: int
    first_attempt: int = 0

    def begin(self, problem: Problem) -> Sequence[Request]:
        name, first = problem.problem_id, self.first_attempt
        return (Request(name, name, problem.problem, self.num_completions, first_attempt=first),)

    def on_group(self, group: ScoredGroup) -> Sequence[Request]:
        return ()
