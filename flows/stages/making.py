"""What an iteration makes: completions, verdicts, rows and a candidate; and what it explores."""

from __future__ import annotations

from functools import cache

from evals.exploration import stage as exploration_stage
from filters import stage as filter_stage
from filters.selection import stage as select_stage
from filters.selection.stage import rows_per_problem
from flows.config import Training
from flows.preflight import problem_sets
from flows.reports import sets_report
from flows.session import Session
from flows.stages.inputs import JudgedCompletions, LoadedSets, filter_inputs, select_inputs
from ratchet.policy import Policy
from ratchet.problems.grading import OutcomeScorer
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


def explore(
    session: Session, iteration: int, judged: JudgedCompletions, first: Artifact | None
) -> Artifact:
    """How the policy explored; `first` holds iteration 0's figures, which are the base model's."""
    inputs = exploration_stage.ExplorationInputs(
        completions=judged.completions,
        verdicts=judged.verdicts,
        base=first,
        iteration=iteration,
        wanted_per_problem=rows_per_problem(session.config.trainings(iteration)[0].selection),
    )
    key = StepKey(iteration, "explore")
    return session.stage(key, exploration_stage, session.config.exploration, inputs)


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
