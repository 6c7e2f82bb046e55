"""The stages of an iteration: each joins a stage package's `spec` and `run` to the session."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from evals import stage as eval_stage
from evals.gates import stage as gate_stage
from filters import stage as filter_stage
from filters.selection import stage as select_stage
from flows.config import Training
from flows.preflight import problem_sets
from flows.reports import sets_report
from flows.session import EvaluatedPolicy, Session
from flows.stage_inputs import JudgedCompletions, LoadedSets, filter_inputs, select_inputs
from ratchet.policy import Policy
from ratchet.problems.grading import OutcomeScorer
from ratchet.problems.sets import ProblemSet
from ratchet.store.artifacts import Artifact
from ratchet.store.ledger import StepKey
from samplers import stage as sample_stage
from trainers import stage as train_stage


def load_sets(session: Session) -> LoadedSets:
    """The config's problem sets; what they share is told first, and recorded."""
    sets = problem_sets(session.config, session.store)
    for name, each in sets.items():
        if each.overlap:
            session.note(StepKey(None, sets_report.STAGE, name), each.artifact)
    for line in sets_report.start_lines(sets):
        session.display.line(line)
    return sets


def sample(session: Session, iteration: int, policy: Policy, sets: LoadedSets) -> Artifact:
    """Completions of every train problem; verification runs beside it."""
    key = StepKey(iteration, "sample")
    train = sets["train"]

    @cache
    def warm_up() -> None:
        """The first group means that there is time: a trainer gets its imports done."""
        train_stage.warm_up(session.config.trainer[0], session.warm, session.train_log)

    inputs = sample_stage.SampleInputs(
        problems=train.problems,
        problems_fingerprint=train.fingerprint,
        policy=policy,
        completer=session.engine,
        prompt=session.config.prompt,
        engine=session.config.engine,
        iteration=iteration,
        seed=session.config.seed,
        scorer=OutcomeScorer(session.grader, train.rules, train.fingerprint),
        on_group=lambda _: warm_up(),
    )
    return session.stage(key, sample_stage, session.config.sampler, inputs)


def judge(
    session: Session, iteration: int, completions: Artifact, sets: LoadedSets
) -> JudgedCompletions:
    """Every filter's verdict on every completion."""
    key = StepKey(iteration, "filter")
    filters = session.config.filters
    inputs = filter_inputs(session.config, sets, completions, session.grader)
    verdicts = session.stage(key, filter_stage, filters, inputs)
    return JudgedCompletions(completions, verdicts)


def select(
    session: Session,
    training: Training,
    iteration: int,
    judged: JudgedCompletions,
    sets: LoadedSets,
) -> Artifact:
    """The rows of one training."""
    key = StepKey(iteration, "select", training.subject)
    inputs = select_inputs(session.config, sets, judged)
    return session.stage(key, select_stage, training.selection, inputs)


def train(
    session: Session, training: Training, iteration: int, inputs: train_stage.TrainInputs
) -> Policy:
    """A new checkpoint from the rows; the engine yields the device meanwhile."""
    key, config = StepKey(iteration, "train", training.subject), training.trainer
    session.engine.release_device()
    artifact = session.stage(key, train_stage, config, inputs)
    start = config.starting_point(inputs.start, inputs.base)
    return train_stage.checkpoint_policy(artifact, start, iteration)


def train_chain(
    session: Session, iteration: int, judged: JudgedCompletions, incumbent: Policy, sets: LoadedSets
) -> Policy | None:
    """The candidate: every training of the chain that has rows enough, each on the one before.

    None where no training has.
    """
    candidate: Policy | None = None
    for training in session.config.trainings(iteration):
        rows = select(session, training, iteration, judged, sets)
        if rows.manifest.rows >= training.trainer.min_rows:
            inputs = train_stage.TrainInputs(
                rows=rows,
                start=candidate or incumbent,
                base=session.base,
                rules=sets["train"].rules,
                iteration=iteration,
                seed=session.config.seed,
                log_path=session.train_log,
                warm=session.warm,
            )
            candidate = train(session, training, iteration, inputs)
    return candidate


def evaluate(session: Session, key: StepKey, policy: Policy, benchmark: ProblemSet) -> Artifact:
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
    )
    return session.stage(key, eval_stage, session.config.eval, inputs)


def evaluate_policy(
    session: Session, iteration: int | None, policy: Policy, sets: LoadedSets
) -> EvaluatedPolicy:
    """A policy's evaluations on dev and on every guard."""
    names = [guard.name for guard in session.config.guards]
    dev = evaluate(session, StepKey(iteration, "eval"), policy, sets["dev"])
    guards = {
        name: evaluate(session, StepKey(iteration, "eval", name), policy, sets[name])
        for name in names
    }
    return EvaluatedPolicy(policy, dev, guards)


@dataclass(frozen=True)
class GateContest:
    """Who is compared at the gate; `base` is only shown beside the two."""

    base: EvaluatedPolicy
    incumbent: EvaluatedPolicy
    candidate: EvaluatedPolicy


def gate(session: Session, iteration: int, contest: GateContest) -> Artifact:
    """The decision on the candidate."""
    incumbent, candidate = contest.incumbent, contest.candidate
    key = StepKey(iteration, "gate")
    guards = {
        guard.name: (guard, incumbent.guards[guard.name], candidate.guards[guard.name])
        for guard in session.config.guards
    }
    inputs = gate_stage.GateInputs(
        base=contest.base.dev,
        incumbent=incumbent.dev,
        candidate=candidate.dev,
        guards=guards,
    )
    return session.stage(key, gate_stage, session.config.gate, inputs)
