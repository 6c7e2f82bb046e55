"""How a standalone evaluation is made: a config's tables, then a protocol's, then `--set`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import model_validator

from evals.config import EvalConfig, GateConfig, PairedGate
from evals.protocols import ResolvedProtocol
from flows.config import RunConfig, load_config
from ratchet.config import Config, apply_overrides, parse_config, read_toml
from ratchet.generation.prompts import PromptConfig
from samplers.config import EngineConfig, VllmEngineConfig, check_params, check_prompt

TABLES = ("engine", "prompt", "eval", "gate", "seed")
"""What of a run's config has a say in an evaluation."""


class StandaloneEval(Config):
    """What decides an evaluation outside of a run, beside the checkpoint and the benchmark."""

    engine: EngineConfig = VllmEngineConfig()
    """What draws completions."""
    prompt: PromptConfig = PromptConfig()
    """How a problem becomes a prompt."""
    eval: EvalConfig = EvalConfig()
    """How completions are drawn, and figures made of them."""
    gate: GateConfig = PairedGate()
    """What `--aa` puts the checkpoint to."""
    seed: int = 0
    """Another seed draws other completions."""

    @model_validator(mode="after")
    def _engine_takes_them(self) -> StandaloneEval:
        check_params(self.engine, self.eval.params)
        check_prompt(self.engine, self.prompt)
        return self


@dataclass(frozen=True)
class ConfigOrigin:
    """The run's config that settings start from; without one, each table's defaults."""

    name: str
    config: RunConfig
    tables: Mapping[str, Any]


@dataclass(frozen=True)
class GivenSettings:
    """What the user chose beside the benchmark. `server` is the engine table of a server's URL."""

    origin: ConfigOrigin | None = None
    settings: tuple[str, ...] = ()
    seed: int | None = None
    server: Mapping[str, Any] = field(default_factory=dict)


def origin_of_file(path: Path) -> ConfigOrigin:
    """A config's file.

    Raises:
        InputError: with every error of the file.
    """
    return ConfigOrigin(str(path), load_config(path), read_toml(path))


def settings_of(chosen: GivenSettings, protocol: ResolvedProtocol | None) -> StandaloneEval:
    """The settings of one evaluation.

    Raises:
        InputError: with all that is wrong with them.
    """
    tables = _tables(chosen, protocol)
    parsed = parse_config(StandaloneEval, tables, "the evaluation's settings")
    return parsed if chosen.seed is None else parsed.model_copy(update={"seed": chosen.seed})


def guarded_config(chosen: GivenSettings, protocol: ResolvedProtocol | None) -> RunConfig | None:
    """The config with these settings in it: what its guards watch must be there to be measured.

    Raises:
        InputError: if it is not.
    """
    if chosen.origin is None:
        return None
    tables = {**chosen.origin.tables, **_tables(chosen, protocol)}
    return parse_config(RunConfig, tables, f"{chosen.origin.name} with these settings")


def _tables(chosen: GivenSettings, protocol: ResolvedProtocol | None) -> dict[str, Any]:
    given = chosen.origin.tables if chosen.origin else {}
    tables: dict[str, Any] = {"engine": {"kind": "vllm"}}
    tables |= {name: given[name] for name in TABLES if name in given}
    if chosen.server:
        tables["engine"] = dict(chosen.server)
    if protocol:
        tables["prompt"] = protocol.prompt.model_dump(mode="json")
        tables["eval"] = _settled(tables.get("eval", {}), protocol.evaluation)
    tables = apply_overrides(tables, chosen.settings)
    if chosen.server and tables["engine"].get("kind") == "openai":
        tables["engine"] = {"api": _api(tables.get("prompt", {})), **tables["engine"]}
    return tables


def _api(prompt: Mapping[str, Any]) -> str:
    """The server's call that takes such prompts."""
    return "completions" if prompt.get("style") == "plain" else "chat"


def _settled(before: Mapping[str, Any], protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The eval table with what the protocol settles; a greedy one leaves no group to be drawn."""
    kept = dict(before)
    if protocol.get("temperature") == 0:
        kept.pop("group_size", None)
    return {**kept, **protocol}
