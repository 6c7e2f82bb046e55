"""The flow: sample, filter, train, eval, gate; again and again, and test once at the end."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows import stages
from flows.config import stored_config
from flows.display import Display
from flows.reports.prefect_artifacts import publish_iteration, publish_outcome
from flows.session import EvaluatedPolicy, Session, open_session
from flows.stage_inputs import LoadedSets
from ratchet.store.artifacts import Store
from ratchet.store.ledger import Run, StepKey, redo_from


@flow(name="ratchet", flow_run_name="{name}", persist_result=False)
def improve(name: str, store: str, redo: tuple[int, str] | None = None) -> bool:
    """Run, or go on with, the run `name`; whether any candidate was promoted.

    Its config is read from its record, because Prefect keeps a flow's parameters and shows them.
    What is in the store is used, but for what follows the iteration and stage of `redo`: that is
    done again.
    """
    run = Run.open(Store(Path(store)), name)
    with open_session(stored_config(run.config, name), run, Display()) as session:
        if redo:
            run.redo(redo_from(run, *redo))
        return _loop(session)


def _loop(session: Session) -> bool:
    sets = stages.load_sets(session)
    base = incumbent = stages.evaluate_policy(session, None, session.base, sets)
    since_promotion = 0
    for iteration in range(session.config.iterations):
        incumbent, promoted = _iterate(session, iteration, (base, incumbent), sets)
        publish_iteration(session, iteration)
        since_promotion = 0 if promoted else since_promotion + 1
        if since_promotion == session.config.patience:
            break
    _test(session, base, incumbent, sets)
    session.run.keep_only(session.steps)
    publish_outcome(session)
    return incumbent is not base


def _iterate(
    session: Session,
    iteration: int,
    known: tuple[EvaluatedPolicy, EvaluatedPolicy],
    sets: LoadedSets,
) -> tuple[EvaluatedPolicy, bool]:
    """One pass from (base, incumbent): the incumbent after it, and whether it is a new one."""
    base, incumbent = known
    completions = stages.sample(session, iteration, incumbent.policy, sets)
    judged = stages.judge(session, iteration, completions, sets)
    policy = stages.train_chain(session, iteration, judged, incumbent.policy, sets)
    if policy is None:
        return incumbent, False
    candidate = stages.evaluate_policy(session, iteration, policy, sets)
    decision = stages.gate(session, iteration, stages.GateContest(base, incumbent, candidate))
    promoted: bool = decision.metrics["promoted"]
    return (candidate if promoted else incumbent), promoted


def _test(
    session: Session, base: EvaluatedPolicy, final: EvaluatedPolicy, sets: LoadedSets
) -> None:
    """The test set is reported once, and never used for a decision."""
    stages.evaluate(session, StepKey(None, "test", "base"), base.policy, sets["test"])
    stages.evaluate(session, StepKey(None, "test", "final"), final.policy, sets["test"])
