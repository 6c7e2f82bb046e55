"""Which policy came of which iteration, read from a run's ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flows.config import RunConfig
from ratchet.errors import InputError
from ratchet.policy import Policy, base_policy
from ratchet.store.artifacts import Artifact
from ratchet.store.ledger import LedgerEntry, Run, StepKey, reached_iterations
from trainers import stage as train_stage


@dataclass(frozen=True)
class Candidate:
    """What one iteration trained, and whether it was promoted; None where the gate never said."""

    iteration: int
    policy: Policy
    promoted: bool | None


def candidates(run: Run, config: RunConfig) -> list[Candidate]:
    """The candidates of a run, in order. An iteration that trained nothing has none.

    Raises:
        InputError: if an artifact of the ledger is gone or damaged.
    """
    entries = run.entries()
    base = incumbent = base_policy(config.model)
    found = []
    for iteration in reached_iterations(entries):
        policy = _trained(run, config, entries, iteration, (incumbent, base))
        if policy is None:
            continue
        promoted = _promoted(run, entries, iteration)
        found.append(Candidate(iteration, policy, promoted))
        incumbent = policy if promoted else incumbent
    return found


def _trained(
    run: Run,
    config: RunConfig,
    entries: Mapping[str, LedgerEntry],
    iteration: int,
    policies: tuple[Policy, Policy],
) -> Policy | None:
    """What the chain of trainings made of (incumbent, base); None where nothing was trained."""
    incumbent, base = policies
    candidate: Policy | None = None
    for training in config.trainings(iteration):
        entry = entries.get(StepKey(iteration, "train", training.subject).step)
        if entry is None:
            continue
        start = training.trainer.starting_point(candidate or incumbent, base)
        candidate = train_stage.checkpoint_policy(artifact_of(run, entry), start, iteration)
    return candidate


def _promoted(run: Run, entries: Mapping[str, LedgerEntry], iteration: int) -> bool | None:
    entry = entries.get(StepKey(iteration, "gate").step)
    return bool(artifact_of(run, entry).metrics["promoted"]) if entry else None


def artifact_of(run: Run, entry: LedgerEntry) -> Artifact:
    """The artifact of a ledger's entry.

    Raises:
        InputError: if it is gone or damaged.
    """
    artifact = run.store.find(entry.identity)
    if artifact is None:
        raise InputError(
            f"step {entry.step} ({entry.identity}) is not in the store, or damaged; "
            f"ratchet resume {run.name} makes it again"
        )
    return artifact


def choose(run: Run, config: RunConfig, iteration: int | None) -> Policy:
    """The candidate of an iteration, or the run's incumbent.

    Raises:
        InputError: if there is no such candidate, or none was promoted.
    """
    known = candidates(run, config)
    if iteration is None:
        promoted = [candidate.policy for candidate in known if candidate.promoted]
        if not promoted:
            raise InputError(
                f"run {run.name!r} promoted nothing, so its best policy is the base model; name a "
                f"candidate with --iteration ({_iterations(known)})"
            )
        return promoted[-1]
    for candidate in known:
        if candidate.iteration == iteration:
            return candidate.policy
    raise InputError(
        f"iteration {iteration} of run {run.name!r} trained nothing; candidates: "
        f"{_iterations(known)}"
    )


def _iterations(known: list[Candidate]) -> str:
    return ", ".join(str(candidate.iteration) for candidate in known) or "none"
