"""The test set: read once, at the end; every further reading is counted and told."""

from __future__ import annotations

from evals.compare import outcome
from evals.stage import Draw
from flows.session import Session
from flows.stages.evaluating import evaluate, greedy
from flows.stages.inputs import LoadedSets
from ratchet.policy import Policy
from ratchet.store.artifacts import Artifact
from ratchet.store.identity import digest
from ratchet.store.ledger import StepKey

OUTCOME = StepKey(None, "test", "outcome")


def read_test(session: Session, base: Policy, final: Policy, sets: LoadedSets) -> Artifact:
    """Base and final on test, greedy and by the run's evaluation, paired; decides nothing."""
    policies = digest([base.fingerprint, final.fingerprint, sets["test"].fingerprint])
    reading = session.run.spent.begin_reading(policies)
    if reading.number > 1:
        session.display.line(
            f"test: reading {reading.number} of the test set by this run; figures that are looked "
            "at and chosen by are no longer those of unseen problems"
        )
    inputs = outcome.OutcomeInputs(
        greedy=(_greedily(session, "base", base, sets), _greedily(session, "final", final, sets)),
        sampled=_sampled(session, base, final, sets),
        iteration=final.iteration,
    )
    found = session.stage(OUTCOME, outcome, session.config.eval, inputs)
    session.run.spent.finish_reading()
    return found


def _greedily(session: Session, role: str, policy: Policy, sets: LoadedSets) -> Artifact:
    key = StepKey(None, "test", role)
    return evaluate(session, key, policy, sets["test"], Draw(1), config=greedy(session.config.eval))


def _sampled(
    session: Session, base: Policy, final: Policy, sets: LoadedSets
) -> tuple[Artifact, Artifact] | None:
    """Both by the run's own evaluation; None where that is the greedy one."""
    config = session.config.eval
    if config.temperature == 0:
        return None
    draw = Draw(config.group_size, 0, "test")
    before, after = (
        evaluate(session, StepKey(None, "test", f"{role}/sampled"), policy, sets["test"], draw)
        for role, policy in (("base", base), ("final", final))
    )
    return before, after
