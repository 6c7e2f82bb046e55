"""Who is promoted: a contest of two policies on dev, look by look, then on the guards."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evals.config import looks_of
from evals.gates import stage as gate_stage
from evals.gates.spending import level_of
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


def against_itself(session: Session, base: Artifact, sets: LoadedSets) -> Artifact:
    """What gate and guards make of the base model as its own candidate, at the first level.

    It decides nothing, so it spends no alpha.
    """
    sides = ContestSide(session.base, "incumbent"), ContestSide(session.base, "aa")
    contest = GateContest(None, base, *sides)
    return _decide(session, contest, sets, first_level(session), "aa")


def first_level(session: Session) -> float:
    """The level of a run's first decision."""
    gate = session.config.gate
    return level_of(1, gate.alpha, gate.schedule, session.config.iterations, None)


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
    gate, planned = session.config.gate, session.config.iterations
    if gate.kind not in ("paired", "mcnemar"):
        return gate.alpha  # shown beside the numbers; no test decides, so none is spent

    def level(number: int, before: tuple[float, bool] | None) -> float:
        return level_of(number, gate.alpha, gate.schedule, planned, before)

    return session.run.spent.reserve(name, contest.key.step, level).level


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
        incumbent=(),
        candidate=(),
    )
    for at in range(len(looks)):
        held = look(session, contest.iteration, contest.incumbent, at, dev)
        drawn = look(session, contest.iteration, contest.candidate, at, dev)
        inputs = replace(
            inputs, incumbent=(*inputs.incumbent, held), candidate=(*inputs.candidate, drawn)
        )
        if not gate_stage.goes_on(session.config.gate, inputs):
            break
    return inputs


def _guards(
    session: Session, contest: GateContest, sets: LoadedSets, dev: gate_stage.GateInputs
) -> dict[str, gate_stage.Guarded]:
    """What each guard watches: its own problems, or dev's completions, which are there."""
    guarded = {}
    for guard in session.config.guards:
        if guard.problems is None:
            draws = dev.incumbent, dev.candidate
        else:
            sides = contest.incumbent, contest.candidate
            held, drawn = (
                (guard_draw(session, contest.iteration, side, guard.name, sets[guard.name]),)
                for side in sides
            )
            draws = held, drawn
        guarded[guard.name] = gate_stage.Guarded(
            config=guard, incumbent=draws[0], candidate=draws[1]
        )
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
    config = session.config.gate
    decision = gate_stage.decide_on_dev(config, inputs)
    numbers = gate_stage.merged(config, decision, gate_stage.check_guards(config, inputs))
    run.ask(name, iteration, numbers)
    raise Suspended(
        f"iteration {iteration} waits for a decision: {numbers['reason']}; say "
        f"`ratchet decide {run.name} yes` or no, then `ratchet resume {run.name}`"
    )
