"""Checkpoints on benchmarks: each draw is an artifact of its own, so nothing is paid for twice."""

from __future__ import annotations

from dataclasses import dataclass

from evals import stage as eval_stage
from evals.config import EvalConfig, looks_of
from evals.stage import Draw, draw_of_look
from flows.config import Guard
from flows.session import Session
from ratchet.policy import Policy
from ratchet.problems.sets import ProblemSet
from ratchet.store.artifacts import Artifact
from ratchet.store.ledger import StepKey


@dataclass(frozen=True, slots=True)
class ContestSide:
    """One side of a contest: a policy, and what its completions are drawn for.

    Completions for one purpose are independent of those for another: an incumbent is measured
    afresh, because those that promoted it were picked for being good.
    """

    policy: Policy
    purpose: str


def evaluate(
    session: Session,
    key: StepKey,
    policy: Policy,
    benchmark: ProblemSet,
    draw: Draw,
    config: EvalConfig | None = None,
) -> Artifact:
    """One draw of one checkpoint on one benchmark."""
    inputs = eval_stage.EvalInputs(
        benchmark=benchmark.name,
        problems=benchmark.problems,
        problems_fingerprint=benchmark.fingerprint,
        rules=benchmark.rules,
        policy=policy,
        completer=session.engine,
        grader=session.grader,
        decoding=session.decoding(),
        seed=session.config.seed,
        draw=draw,
    )
    return session.stage(key, eval_stage, config or session.config.eval, inputs)


def look(
    session: Session, iteration: int | None, side: ContestSide, at: int, benchmark: ProblemSet
) -> Artifact:
    """What a side's look `at` adds to the looks before: completions of every dev problem."""
    draw = draw_of_look(looks_of(session.config.gate, session.config.eval), at, side.purpose)
    return evaluate(session, look_key(iteration, side.purpose, at), side.policy, benchmark, draw)


def look_key(iteration: int | None, purpose: str, at: int) -> StepKey:
    """`0/eval` is the candidate's first look and `base/eval` the base model's.

    Others are `0/eval/dev/look-2`, `0/eval/dev/incumbent`, `0/eval/dev/incumbent/look-2`.
    """
    own = "incumbent" if iteration is None else "candidate"
    parts = [purpose] if purpose != own else []
    parts += [f"look-{at + 1}"] if at else []
    return StepKey(iteration, "eval", "/".join(["dev", *parts]) if parts else "")


def guard_draw(
    session: Session, iteration: int | None, side: ContestSide, guard: Guard, benchmark: ProblemSet
) -> Artifact:
    """A side's completions on a guard's own problems."""
    draw = Draw(guard.drawn(session.config.eval), 0, side.purpose)
    subject = guard.name if side.purpose == "candidate" else f"{guard.name}/{side.purpose}"
    key = StepKey(iteration, "eval", subject)
    return evaluate(session, key, side.policy, benchmark, draw)


def greedy(config: EvalConfig) -> EvalConfig:
    """The same evaluation with the likeliest token each time."""
    return config.model_copy(update={"temperature": 0.0, "group_size": 1})
