"""What is checked before a token is spent: the model, the problem sets, the recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from evals.gates.regressions import check_pinned
from filters.base import FilterContext
from filters.build import settings_of
from filters.config import FilterConfig
from filters.kinds.custom import CustomConfig, load_custom
from filters.kinds.decontamination import BENCHMARK, DecontaminationConfig
from flows.config import RunConfig, stored_config
from flows.engine_check import check_engine
from ratchet.errors import InputError
from ratchet.policy import base_policy
from ratchet.problems.config import ProblemSource
from ratchet.problems.disjoint import keep_apart
from ratchet.problems.load import is_local
from ratchet.problems.sets import ProblemSet, load_set
from ratchet.store.artifacts import Store
from ratchet.store.ledger import Run
from samplers.config import OpenAIEngineConfig, engine_identity
from trainers.config import GrpoConfig
from trainers.config.rewards import CustomReward
from trainers.launch.machine_check import check_environment
from trainers.rewards.process import RewardProcess


def problem_sets(config: RunConfig, store: Store, *, fetch: bool = True) -> dict[str, ProblemSet]:
    """All sets of a config by name: train, dev, test and the guards', loaded and disjoint.

    A guard may share problems with dev or test, which train nothing, but not with train. Without
    `fetch` the sets that are not on this machine are missing, and compared with none.

    Raises:
        InputError: if a set can't be read, is empty, or shares more with another than it may.
    """
    sets = _load(store, config.sources(), fetch=fetch)
    apart = keep_apart(store, sets, config.problems.overlap_rules())
    return {**apart, **benchmarks(config, store, fetch=fetch)}


def benchmarks(config: RunConfig, store: Store, *, fetch: bool = True) -> dict[str, ProblemSet]:
    """What decontamination filters name beside dev, test and guards; train may overlap it."""
    sources = [
        source
        for rule in config.filters
        if isinstance(rule, DecontaminationConfig)
        for source in rule.benchmarks
    ]
    named = {f"{BENCHMARK}{at}": source for at, source in enumerate(sources)}
    return _load(store, named, fetch=fetch)


def _load(
    store: Store, sources: Mapping[str, ProblemSource], *, fetch: bool
) -> dict[str, ProblemSet]:
    sets: dict[str, ProblemSet] = {}

    def load(name: str, source: ProblemSource) -> None:
        sets[name] = load_set(store, name, source)

    _all([partial(load, *named) for named in sources.items() if fetch or is_local(named[1])])
    return sets


def preflight(
    tables: dict[str, Any], name: str, store: Store, *, fetch: bool = True
) -> dict[str, ProblemSet]:
    """Find what the user must mend before Prefect and the engine are started; the sets, loaded.

    Raises:
        InputError: with all that was seen, why it can't work and what to do.
    """
    config = stored_config(tables, name)
    _all(
        [
            lambda: Run.check(store, name, tables),
            lambda: base_policy(config.model),
            lambda: engine_identity(config.engine),
            lambda: check_engine(config.engine),
            lambda: _check_engine_takes_candidates(config),
            lambda: _check_user_code(config),
            *(partial(check_environment, trainer) for _, trainer in config.all_trainers()),
        ]
    )
    sets = problem_sets(config, store, fetch=fetch)
    if "dev" in sets:
        check_pinned(config.gate.pinned, [problem.problem_id for problem in sets["dev"].problems])
    return sets


def _all(checks: Iterable[Callable[[], object]]) -> None:
    """Every check, though one before it has failed.

    Raises:
        InputError: with what each of them said, once.
    """
    told: dict[str, None] = {}
    for check in checks:
        try:
            check()
        except InputError as error:
            told[str(error)] = None
    if len(told) > 1:
        raise InputError(f"{len(told)} things stand in the way:\n  " + "\n  ".join(told))
    if told:
        raise InputError(*told)


def _check_engine_takes_candidates(config: RunConfig) -> None:
    """Whether what is trained can be evaluated, asked before it is sampled and trained for.

    Raises:
        InputError: if the engine is a server, which answers with its own model.
    """
    if isinstance(config.engine, OpenAIEngineConfig):
        raise InputError(
            f'engine.kind = "openai": the server at {config.engine.url} answers with its own '
            "model, so no candidate could be evaluated; a run needs an engine that loads what it "
            'trains, such as "vllm" (a server alone is measured by ratchet eval URL)'
        )


def _check_user_code(config: RunConfig) -> None:
    """Load what the user brings, so that a wrong name is told before a token is spent.

    Raises:
        InputError: with all that can't be loaded.
    """
    _all([partial(_load_filter, rule) for rule in config.filters])
    rewards = [
        reward
        for _, trainer in config.all_trainers()
        if isinstance(trainer, GrpoConfig)
        for reward in trainer.rewards
        if isinstance(reward, CustomReward)
    ]
    _all([partial(_load_reward, reward) for reward in rewards])


def _load_filter(rule: FilterConfig) -> None:
    settings_of(rule)
    if isinstance(rule, CustomConfig):
        load_custom(rule, FilterContext(problems={}))


def _load_reward(reward: CustomReward) -> None:
    RewardProcess(reward).close()
