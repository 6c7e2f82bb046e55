"""What is checked before a token is spent: the model, the problem sets, the recording."""

from __future__ import annotations

from typing import Any

from filters.base import FilterContext
from filters.build import settings_of
from filters.custom import CustomConfig, load_custom
from filters.decontamination import BENCHMARK, DecontaminationConfig
from flows.config import RunConfig, stored_config
from ratchet.disjoint import keep_apart
from ratchet.policy import base_policy
from ratchet.problem_set import ProblemSet, load_set
from ratchet.store import Store
from samplers.config import engine_identity
from trainers.config import GrpoConfig
from trainers.environment import check_environment
from trainers.reward_config import CustomReward
from trainers.reward_process import RewardProcess


def problem_sets(config: RunConfig, store: Store) -> dict[str, ProblemSet]:
    """All sets of a config by name: train, dev, test and the guards', loaded and disjoint.

    A guard may share problems with dev or test, which train nothing, but not with train.

    Raises:
        InputError: if a set can't be read, is empty, or shares more with another than it may.
    """
    sets = {name: load_set(store, name, source) for name, source in config.sources().items()}
    apart = keep_apart(store, sets, config.problems.overlap_rules())
    return {**apart, **benchmarks(config, store)}


def benchmarks(config: RunConfig, store: Store) -> dict[str, ProblemSet]:
    """What decontamination filters name beside dev, test and guards; train may overlap it."""
    sources = [
        source
        for rule in config.filters
        if isinstance(rule, DecontaminationConfig)
        for source in rule.benchmarks
    ]
    names = [f"{BENCHMARK}{at}" for at in range(len(sources))]
    return {name: load_set(store, name, s) for name, s in zip(names, sources, strict=True)}


def _check_user_code(config: RunConfig) -> None:
    """Load what the user brings, so that a wrong name is told before a token is spent."""
    for rule in config.filters:
        settings_of(rule)
        if isinstance(rule, CustomConfig):
            load_custom(rule, FilterContext(problems={}))
    for trainer in config.trainer:
        rewards = trainer.rewards if isinstance(trainer, GrpoConfig) else ()
        for reward in rewards:
            if isinstance(reward, CustomReward):
                RewardProcess(reward).close()


def preflight(tables: dict[str, Any], name: str, store: Store) -> None:
    """Find what the user must mend before Prefect and the engine are started.

    Raises:
        InputError: with what was seen, why it can't work and what to do.
    """
    config = stored_config(tables, name)
    base_policy(config.model)
    engine_identity(config.engine)
    _check_user_code(config)
    for trainer in config.trainer:
        check_environment(trainer)
    problem_sets(config, store)
