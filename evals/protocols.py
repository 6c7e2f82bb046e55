"""Protocols: evaluations that others report, as presets of prompt, sampling and answer format.

What a preset settles is part of the evaluation's identity: the template with its worked examples is
in the prompt's settings, sampling in the eval's, the answer format and the verifier's version in
the grading rules. The name itself is only what people call it.

A few-shot protocol's worked examples ("shots") are drawn from the benchmark's own train split when
it is used, always the same for the same rows: a random order of `SHOT_SEED`, without problems that
the evaluated benchmark holds too. So a figure by one of them stands beside a published one, but is
not the same experiment:

- `gsm8k-8-shot` is named after the eight chain-of-thought examples of Wei et al. 2022
  (https://arxiv.org/abs/2201.11903), which were written by hand for that paper and end in a
  sentence. Here they are rows of GSM8K as they stand, calculator marks and `#### n` included, as
  in lm-evaluation-harness' task `gsm8k` (five drawn from train; it also stops at an empty line).
- `math-4-shot` is named after the four fixed examples of Minerva (Lewkowycz et al. 2022,
  https://arxiv.org/abs/2206.14858), which end in a sentence with the final answer. Here they are
  rows of MATH's train split, whose answers are boxed.
- `boxed` is what instruction-tuned models are asked most often; it settles no sampling.

Plain prompts get no special token: a base model that was trained with one before each text may
want it in `prompt.system`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import Any, Literal

from ratchet.errors import InputError
from ratchet.generation.prompts import PromptConfig
from ratchet.problems.config import Gsm8kSource, MathSource
from ratchet.problems.overlap import find_overlaps
from ratchet.records import Problem
from ratchet.verifier.find.extraction import AnswerFormat

SHOT_SEED = 0
MAX_SHOT_CHARS = 2_000
"""Longest worked example, its problem included: one row of a set must not fill the context."""
_DRAWN_AT_ONCE = 64
_HOLES = ("{problem}", "[asy]")
"""A text with the template's own placeholder, or with the code of a figure, is no example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shots:
    """Worked examples before the problem: how many, of which set, each laid out by `layout`."""

    count: int
    source: Gsm8kSource | MathSource
    layout: str

    def rendered(self, problem: Problem) -> str:
        """One worked example."""
        filled = {"problem": problem.problem.strip(), "solution": (problem.solution or "").strip()}
        return self.layout.format(**filled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A way to ask and to grade. `evaluation` holds the fields of `EvalConfig` that it settles."""

    name: str
    style: Literal["chat", "plain"]
    template: str
    answer_format: AnswerFormat
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    shots: Shots | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedProtocol:
    """A protocol with its worked examples: what one benchmark is asked with."""

    name: str
    prompt: PromptConfig
    evaluation: Mapping[str, Any]
    answer_format: AnswerFormat
    shot_ids: tuple[str, ...] = ()


PROTOCOLS = {
    each.name: each
    for each in (
        Protocol(
            name="boxed",
            style="chat",
            template="{problem}\n\nThink step by step, and end with the answer in \\boxed{}.",
            answer_format="boxed",
        ),
        Protocol(
            name="gsm8k-8-shot",
            style="plain",
            template="Question: {problem}\nAnswer:",
            answer_format="hash",
            evaluation={"temperature": 0.0, "max_tokens": 512, "stop": ("\nQuestion:",)},
            shots=Shots(
                count=8,
                source=Gsm8kSource(split="train", solution_style="raw"),
                layout="Question: {problem}\nAnswer: {solution}\n\n",
            ),
        ),
        Protocol(
            name="math-4-shot",
            style="plain",
            template="Problem:\n{problem}\n\nSolution:",
            answer_format="boxed",
            evaluation={"temperature": 0.0, "max_tokens": 1024, "stop": ("\nProblem:",)},
            shots=Shots(
                count=4,
                source=MathSource(split="train"),
                layout="Problem:\n{problem}\n\nSolution:\n{solution}\n\n",
            ),
        ),
    )
}


def protocol_named(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        InputError: if there is none; the names are listed.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    near = get_close_matches(name, PROTOCOLS, n=1)
    meant = f" did you mean {near[0]}?" if near else ""
    raise InputError(f"no protocol is called {name!r};{meant} There are: {', '.join(PROTOCOLS)}")


def resolve(
    protocol: Protocol, examples: Sequence[Problem], benchmark: Sequence[Problem]
) -> ResolvedProtocol:
    """The protocol as `benchmark` is asked by it; `examples` holds the shots' train split.

    The template is the worked examples and then the problem's own place.

    Raises:
        InputError: if too few examples are left that the benchmark does not hold.
    """
    chosen = _choose(protocol.shots, examples, benchmark) if protocol.shots else []
    before = "".join(protocol.shots.rendered(each) for each in chosen) if protocol.shots else ""
    return ResolvedProtocol(
        name=protocol.name,
        prompt=PromptConfig(style=protocol.style, template=before + protocol.template),
        evaluation=protocol.evaluation,
        answer_format=protocol.answer_format,
        shot_ids=tuple(each.problem_id for each in chosen),
    )


def _choose(
    shots: Shots, examples: Sequence[Problem], benchmark: Sequence[Problem]
) -> list[Problem]:
    drawn = random.Random(SHOT_SEED).sample(list(examples), len(examples))
    usable = (each for each in drawn if _is_usable(shots.rendered(each), each))
    chosen = list(islice(_not_held(usable, benchmark), shots.count))
    if len(chosen) < shots.count:
        raise InputError(
            f"of {len(examples)} rows to draw worked examples from, {len(chosen)} have a solution, "
            f"no figure and at most {MAX_SHOT_CHARS} characters, and are not in the benchmark "
            f"itself; {shots.count} are needed. Give the set's train split with --shots FILE"
        )
    return chosen


def _is_usable(text: str, problem: Problem) -> bool:
    has_room = len(text) <= MAX_SHOT_CHARS
    return bool(problem.solution) and has_room and not any(hole in text for hole in _HOLES)


def _not_held(examples: Iterator[Problem], benchmark: Sequence[Problem]) -> Iterator[Problem]:
    """The examples, in order, that share their text or most of it with no benchmark problem."""
    while some := list(islice(examples, _DRAWN_AT_ONCE)):
        held = {overlap.id_a for overlap in find_overlaps(some, benchmark)}
        yield from (each for each in some if each.problem_id not in held)
