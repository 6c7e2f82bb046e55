"""Who is promoted: a contest of two policies on dev, look by look, then on the guards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from evals.config import looks_of
from evals.gates import stage as gate_stage
from evals.gates.spending import first_level, level_of
from flows.session import Session
from flows.stages.evaluating import ContestSide, guard_draw, look
from flows.stages.inputs import LoadedSets
from ratchet.config import identity_settings
from ratchet.policy import Policy
from ratchet.store.artifacts import Artifact
from ratchet.store.identity import digest
from ratchet.store.ledger import StepKey, Suspended

AA = StepKey(None, "aa")
"""The base model at the gate against itself."""
_TESTED = ("paired", "mcnemar")
"""The kinds of gate whose decisions are tests, which spend alpha."""


@dataclass(frozen=True)
class GateContest:
    """Who is compared at the gate, after which iteration.

    `base` holds the base model's answers on dev, which are only shown beside the two.
    """

    iteration: int | None
    base: Artifact
    incumbent: ContestSide
    candidate: ContestSide

    @property
    def key(self) -> StepKey:
        return AA if self.iteration is None else StepKey(self.iteration, "gate")


def against_incumbent(session: Session, contest: GateContest, sets: LoadedSets) -> Artifact:
    """The decision on the candidate.

    Its alpha is reserved before anything is measured, and never given back.

    Raises:
        Suspended: if a person decides, and has not yet.
    """
    name = _name(session, contest, sets)
    decided = _decide(session, contest, sets, _reserved_level(session, contest, name), name)
    session.run.spent.settle(name, decided.metrics["promoted"])
    return decided


def contest_of(iteration: int, base: Artifact, incumbent: Policy, candidate: Policy) -> GateContest:
    """The contest at the end of an iteration."""
    return GateContest(
        iteration, base, ContestSide(incumbent, "incumbent"), ContestSide(candidate, "candidate")
    )


def what_is_spent(session: Session) -> str | None:
    """That no alpha is left for the next decision, so that it can't promote; None where some is."""
    gate, known = session.config.gate, session.run.spent.reservations()
    if gate.kind not in _TESTED or not known:
        return None
    if _level(session, len(known) + 1, (known[-1].level, known[-1].promoted is True)) > 0:
        return None
    return (
        f"the run's alpha is spent by {len(known)} decisions, so nothing that is done again can be "
        "promoted (docs/gates.md): a new run has its own"
    )


def against_itself(session: Session, base: Artifact, sets: LoadedSets) -> Artifact:
    """What gate and guards make of the base model as its own candidate, at the first level.

    It decides nothing, so it spends no alpha.
    """
    sides = ContestSide(session.base, "incumbent"), ContestSide(session.base, "aa")
    contest = GateContest(None, base, *sides)
    level = first_level(session.config.gate, session.config.iterations)
    return _decide(session, contest, sets, level, "aa")


def _name(session: Session, contest: GateContest, sets: LoadedSets) -> str:
    """What makes a contest another one: who, on what, by which rule; or that it is redone."""
    iteration, run = contest.iteration, session.run
    return digest(
        {
            "incumbent": contest.incumbent.policy.fingerprint,
            "candidate": contest.candidate.policy.fingerprint,
            "dev": sets["dev"].fingerprint,
            "gate": identity_settings(session.config.gate),
            "redone": [run.redo_count(iteration, stage) for stage in ("eval", "gate")],
        }
    )


def _reserved_level(session: Session, contest: GateContest, name: str) -> float:
    if session.config.gate.kind not in _TESTED:
        # shown beside the numbers; no test decides, so none is spent
        return session.config.gate.alpha
    level = partial(_level, session)
    return session.run.spent.reserve(name, contest.key.step, level).level


def _level(session: Session, number: int, before: tuple[float, bool] | None) -> float:
    gate = session.config.gate
    return level_of(number, gate.alpha, gate.schedule, session.config.iterations, before)


def _decide(
    session: Session, contest: GateContest, sets: LoadedSets, level: float, name: str
) -> Artifact:
    config = session.config.gate
    inputs = _looked(session, contest, sets, level)
    verdict = gate_stage.decide_on_dev(config, inputs).verdict
    if verdict in ("promoted", "undecided"):
        inputs = replace(inputs, guards=_guards(session, contest, sets, inputs))
    if verdict == "undecided" and contest.iteration is not None:
        inputs = replace(inputs, answer=_answer(session, contest, inputs, name))
    return session.stage(contest.key, gate_stage, config, inputs)


def _looked(
    session: Session, contest: GateContest, sets: LoadedSets, level: float
) -> gate_stage.GateInputs:
    """Both sides' completions on dev, look by look, until it is clear."""
    dev, looks = sets["dev"], looks_of(session.config.gate, session.config.eval)
    inputs = gate_stage.GateInputs(
        evaluation=session.config.eval,
        looks=looks,
        level=level,
        base=contest.base,
    )

    def draw(at: int) -> tuple[Artifact, Artifact]:
        held = look(session, contest.iteration, contest.incumbent, at, dev)
        return held, look(session, contest.iteration, contest.candidate, at, dev)

    return gate_stage.look_by_look(session.config.gate, inputs, draw)


def _guards(
    session: Session, contest: GateContest, sets: LoadedSets, dev: gate_stage.GateInputs
) -> dict[str, gate_stage.Guarded]:
    """What each guard watches: its own problems, or dev's completions, which are there."""
    guarded = {}
    for guard in session.config.guards:
        held, drawn = dev.incumbent, dev.candidate
        if guard.problems is not None:
            held, drawn = (
                (guard_draw(session, contest.iteration, side, guard, sets[guard.name]),)
                for side in (contest.incumbent, contest.candidate)
            )
        guarded[guard.name] = gate_stage.Guarded(config=guard, incumbent=held, candidate=drawn)
    return guarded


def _answer(
    session: Session, contest: GateContest, inputs: gate_stage.GateInputs, name: str
) -> bool:
    """A person's word on the contest.

    Raises:
        Suspended: if there is none yet; the numbers are shown, and the contest waits.
    """
    run, iteration = session.run, contest.iteration
    assert iteration is not None
    word = run.answers().get(name)
    if word is not None:
        return bool(word["promote"])
    numbers = gate_stage.decide_with_guards(session.config.gate, inputs)
    run.ask(name, iteration, numbers)
    raise Suspended(
        f"iteration {iteration} waits for a decision: {numbers['reason']}; say "
        f"`ratchet decide {run.name} yes` or no, then `ratchet resume {run.name}`"
    )
