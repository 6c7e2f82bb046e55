"""From the command line's words to evaluations: all is found and checked before one starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.protocols import PROTOCOLS, Protocol, protocol_named
from flows.config import RunConfig
from flows.standalone.benchmarks import KNOWN, Benchmark, BenchmarkLoader, BenchmarkOptions
from flows.standalone.checkpoints import Checkpoint, find_checkpoint
from flows.standalone.evaluator import Evaluation
from flows.standalone.settings import (
    TABLES,
    ConfigOrigin,
    GivenSettings,
    guarded_config,
    origin_of_file,
    settings_of,
)
from ratchet.errors import InputError
from ratchet.store.artifacts import Store

DEFAULT_PROTOCOL = "boxed"


@dataclass(frozen=True, kw_only=True)
class EvalRequest:
    """What `ratchet eval` and `ratchet compare` were asked for, beside the checkpoints."""

    benchmarks: tuple[str, ...]
    config: Path | None = None
    protocol: str | None = None
    options: BenchmarkOptions = field(default_factory=BenchmarkOptions)
    settings: tuple[str, ...] = ()
    seed: int | None = None
    trust_remote_code: bool = False


class Preparation:
    """The checkpoints and settings that were asked for, and what they are evaluated on."""

    def __init__(
        self,
        checkpoints: Sequence[Checkpoint],
        origin: ConfigOrigin | None,
        wanted: EvalRequest,
        store: Store,
    ) -> None:
        self.checkpoints = tuple(checkpoints)
        self._origin = origin
        self._wanted = wanted
        protocol = _protocol(wanted.protocol, origin)
        self._loader = BenchmarkLoader(store, origin, protocol, wanted.options)

    @property
    def needs_lora(self) -> bool:
        return any(checkpoint.has_adapter for checkpoint in self.checkpoints)

    def evaluations(self, benchmark: str) -> tuple[Evaluation, ...]:
        """One evaluation of each checkpoint.

        Raises:
            InputError: if the benchmark or a setting can't be had.
        """
        loaded = self._loader.load(benchmark)
        return tuple(self._evaluation(checkpoint, loaded) for checkpoint in self.checkpoints)

    def _evaluation(self, checkpoint: Checkpoint, benchmark: Benchmark) -> Evaluation:
        settings = settings_of(self._chosen(checkpoint), benchmark.protocol)
        checkpoint.policy_for(settings)
        return Evaluation(checkpoint, benchmark, settings)

    def guarded_config(self, evaluation: Evaluation) -> RunConfig | None:
        """The config with an evaluation's settings, where there is one: it has the guards."""
        chosen = self._chosen(evaluation.checkpoint)
        return guarded_config(chosen, evaluation.benchmark.protocol)

    def _chosen(self, checkpoint: Checkpoint) -> GivenSettings:
        wanted = self._wanted
        return GivenSettings(self._origin, wanted.settings, wanted.seed, checkpoint.server)


def prepare(store: Store, names: Sequence[str], wanted: EvalRequest) -> Preparation:
    """What was asked for, found and checked.

    Without a protocol the config's own prompt is taken, and where there is no config, `boxed`.

    Raises:
        InputError: if a checkpoint, the config or the protocol can't be had.
    """
    _check_words(wanted)
    checkpoints = [
        find_checkpoint(name, store, trust_remote_code=wanted.trust_remote_code) for name in names
    ]
    return Preparation(checkpoints, _origin(wanted, checkpoints), wanted, store)


def _check_words(wanted: EvalRequest) -> None:
    if not wanted.benchmarks:
        raise InputError(
            f"no benchmark is named; add --benchmark with one of {', '.join(KNOWN)}, a file, or "
            "with --config CONFIG the name of one of its sets (dev, test, a guard)"
        )
    if wanted.options.data and [name in KNOWN for name in wanted.benchmarks] != [True]:
        raise InputError(
            f"--data {wanted.options.data} is a local copy of one well-known set, and the "
            f"benchmarks are {', '.join(wanted.benchmarks)}; with several, write "
            "--benchmark gsm8k=FILE for each; any other file is a benchmark by itself"
        )


def _protocol(name: str | None, origin: ConfigOrigin | None) -> Protocol | None:
    if name is not None:
        return protocol_named(name)
    return None if origin else PROTOCOLS[DEFAULT_PROTOCOL]


def _origin(wanted: EvalRequest, checkpoints: Sequence[Checkpoint]) -> ConfigOrigin | None:
    """`--config`, or the config of the run that is evaluated.

    Raises:
        InputError: if two runs are, whose configs evaluate in other ways.
    """
    if wanted.config:
        return origin_of_file(wanted.config)
    origins = [checkpoint.origin for checkpoint in checkpoints if checkpoint.origin]
    if not origins:
        return None
    first = origins[0]
    for other in origins[1:]:
        if differing := _differing(first.tables, other.tables):
            raise InputError(
                f"{first.name} and {other.name} evaluate in other ways: they differ in "
                f"{', '.join(differing)}; say with --config CONFIG how both are to be asked"
            )
    return first


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    names = [*TABLES, "problems", "guards"]
    return [name for name in names if one.get(name) != other.get(name)]
