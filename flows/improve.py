"""The flow: sample, filter, train, eval, gate; again and again, and test once at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prefect import flow

from evals.exploration.plateau import IterationSigns, collapse_warning, plateau
from flows.config import stored_config
from flows.display import Display
from flows.reports.prefect_artifacts import publish_iteration, publish_outcome
from flows.session import Session, open_session
from flows.stages import deciding, evaluating, making, testing
from flows.stages.inputs import LoadedSets
from ratchet.policy import Policy
from ratchet.store.artifacts import Artifact, Store
from ratchet.store.ledger import Run, Suspended, redo_from

RunOutcome = Literal["promoted", "nothing_promoted", "suspended"]


@flow(name="ratchet", flow_run_name="{name}", persist_result=False)
def improve(name: str, store: str, redo: tuple[int, str] | None = None) -> RunOutcome:
    """Run, or go on with, the run `name`; whether any candidate was promoted.

    Its config is read from its record, because Prefect keeps a flow's parameters and shows them.
    What is in the store is used, but for what follows the iteration and stage of `redo`: that is
    done again. A run that waits for a person's word ends suspended.
    """
    run = Run.open(Store(Path(store)), name)
    try:
        with open_session(stored_config(run.config, name), run, Display()) as session:
            if redo:
                run.redo(redo_from(run, *redo))
                if spent := deciding.what_is_spent(session):
                    session.display.line(spent)
            return "promoted" if _loop(session) else "nothing_promoted"
    except Suspended:
        return "suspended"


@dataclass
class _State:
    """How far the loop has come."""

    base: Artifact
    """The base model's first look on dev."""
    incumbent: Policy
    explored: Artifact | None = None
    """What the base model explored, which drew iteration 0's completions."""
    since_promotion: int = 0
    signs: list[IterationSigns] = field(default_factory=list)


def _loop(session: Session) -> bool:
    sets = making.load_sets(session)
    side = evaluating.ContestSide(session.base, "incumbent")
    state = _State(evaluating.look(session, None, side, 0, sets["dev"]), session.base)
    if session.config.gate.aa:
        deciding.against_itself(session, state.base, sets)
    for iteration in _iterations(session, state):
        _iterate(session, iteration, state, sets)
        publish_iteration(session, iteration)
    testing.read_test(session, session.base, state.incumbent, sets)
    session.run.keep_only(session.steps)
    publish_outcome(session)
    return state.incumbent is not session.base


def _iterations(session: Session, state: _State) -> Iterator[int]:
    """Until there are no more, patience is at its end, or nothing more is to be expected."""
    for iteration in range(session.config.iterations):
        yield iteration
        if warning := collapse_warning(state.signs[-1]):
            session.display.line(f"{iteration}: {warning}")
        found = plateau(state.signs, session.config.exploration)
        if found.reached:
            session.display.line(f"{iteration}: {found.sentence}")
        stopped = found.reached and session.config.exploration.stop_at_plateau
        if stopped or state.since_promotion == session.config.patience:
            return


def _iterate(session: Session, iteration: int, state: _State, sets: LoadedSets) -> None:
    """One pass: the incumbent after it is the candidate, where the gate says so."""
    completions = making.sample(session, iteration, state.incumbent, sets)
    judged = making.judge(session, iteration, completions, sets)
    explored = making.explore(session, iteration, judged, state.explored)
    state.explored = state.explored or explored
    candidate = making.train_chain(session, iteration, judged, state.incumbent, sets)
    decision = None
    if candidate is not None:
        contest = deciding.contest_of(iteration, state.base, state.incumbent, candidate)
        decision = deciding.against_incumbent(session, contest, sets)
    decided = decision.metrics if decision else None
    gain = session.config.gate.smallest_gain
    state.signs.append(IterationSigns.of(explored.metrics, decided, gain))
    if candidate is not None and decision is not None and decision.metrics["promoted"]:
        state.incumbent, state.since_promotion = candidate, 0
    else:
        state.since_promotion += 1
