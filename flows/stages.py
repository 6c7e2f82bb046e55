"""The stages of an iteration: each joins a stage package's `spec` and `run` to the session."""

from __future__ import annotations

from functools import cache

from evals import gate as gate_stage
from evals import stage as eval_stage
from filters import selection
from filters import stage as filter_stage
from filters.orm import Orm
from flows.session import Place, Session, Standing
from ratchet.policy import Policy
from ratchet.problem_set import ProblemSet
from ratchet.records import Completion, Problem
from ratchet.store import Artifact
from samplers import do_sample
from trainers import sft

Sets = dict[str, ProblemSet]


def sample(session: Session, iteration: int, policy: Policy, sets: Sets) -> Artifact:
    """Completions of every train problem; verification runs beside it."""
    place = Place(iteration, "sample")
    train = sets["train"]
    orm = Orm(session.grader, train.rules)

    @cache
    def warm_up() -> None:
        """The first group means that there is time: a trainer gets its imports done."""
        sft.warm_up(session.config.trainer, session.warm, session.train_log)

    def count_accepted(problem: Problem, group: list[Completion]) -> int:
        """The grader remembers each comparison, so the filter stage finds the work done."""
        warm_up()
        return sum(verdict.accepted for verdict in orm.judge(problem, group))

    inputs = do_sample.SampleInputs(
        problems=train.problems,
        problems_fingerprint=train.fingerprint,
        policy=policy,
        completer=session.engine,
        prompt=session.config.prompt,
        engine=session.config.engine,
        iteration=iteration,
        seed=session.config.seed,
        redo=session.redo_count(place),
        on_group=count_accepted,
    )
    return session.stage(place, do_sample, session.config.sampler, inputs)


def judge(session: Session, iteration: int, completions: Artifact, sets: Sets) -> Artifact:
    """Every filter's verdict on every completion."""
    place = Place(iteration, "filter")
    train = sets["train"]
    inputs = filter_stage.FilterInputs(
        completions=completions,
        problems=train.by_id(),
        problems_fingerprint=train.fingerprint,
        rules=train.rules,
        grader=session.grader,
        redo=session.redo_count(place),
    )
    return session.stage(place, filter_stage, session.config.filters, inputs)


def select(
    session: Session, iteration: int, completions: Artifact, verdicts: Artifact, sets: Sets
) -> Artifact:
    """The training rows."""
    place = Place(iteration, "select")
    train = sets["train"]
    inputs = selection.SelectInputs(
        completions=completions,
        verdicts=verdicts,
        filters=session.config.filters,
        problems=train.by_id(),
        problems_fingerprint=train.fingerprint,
        seed=session.config.seed,
        redo=session.redo_count(place),
    )
    return session.stage(place, selection, session.config.selection, inputs)


def train(session: Session, iteration: int, rows: Artifact, incumbent: Policy) -> Policy:
    """The candidate: a new checkpoint from the rows; the engine yields the device meanwhile."""
    place = Place(iteration, "train")
    config = session.config.trainer
    session.engine.release_device()
    inputs = sft.TrainInputs(
        rows=rows,
        start=incumbent,
        base=session.base,
        iteration=iteration,
        seed=session.config.seed,
        redo=session.redo_count(place),
        log_path=session.train_log,
        warm=session.warm,
    )
    artifact = session.stage(place, sft, config, inputs)
    return sft.checkpoint_policy(artifact, sft.starting_policy(config, inputs), iteration)


def evaluate(session: Session, place: Place, policy: Policy, benchmark: ProblemSet) -> Artifact:
    """One checkpoint on one benchmark."""
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
        redo=session.redo_count(place),
    )
    return session.stage(place, eval_stage, session.config.eval, inputs)


def stand(session: Session, iteration: int | None, policy: Policy, sets: Sets) -> Standing:
    """A policy's evaluations on dev and on every guard."""
    names = [guard.name for guard in session.config.guards]
    dev = evaluate(session, Place(iteration, "eval"), policy, sets["dev"])
    guards = {
        name: evaluate(session, Place(iteration, "eval", name), policy, sets[name])
        for name in names
    }
    return Standing(policy, dev, guards)


def gate(
    session: Session, iteration: int, incumbent: Standing, candidate: Standing, sets: Sets
) -> Artifact:
    """The decision on the candidate."""
    place = Place(iteration, "gate")
    guards = {
        guard.name: (
            guard,
            incumbent.guards[guard.name],
            candidate.guards[guard.name],
            len(sets[guard.name].problems),
        )
        for guard in session.config.guards
    }
    inputs = gate_stage.GateInputs(
        incumbent=incumbent.dev,
        candidate=candidate.dev,
        num_problems=len(sets["dev"].problems),
        guards=guards,
        redo=session.redo_count(place),
    )
    return session.stage(place, gate_stage, session.config.gate, inputs)
