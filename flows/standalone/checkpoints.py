"""What is evaluated: a checkpoint's folder, an adapter, a hub id, a run's policy, or a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.config import renewed_tables, stored_config
from flows.reports.lineage import candidates, choose
from flows.standalone.settings import ConfigOrigin, StandaloneEval
from ratchet.errors import InputError, looked_for
from ratchet.policy import ModelConfig, Policy, base_policy, checkpoint_digest
from ratchet.store.artifacts import Store
from ratchet.store.identity import digest
from ratchet.store.ledger import Run, list_runs
from samplers.config import EngineConfig, OpenAIEngineConfig, VllmEngineConfig

_ADAPTER = "adapter_config.json"
_WHAT = "a folder with a checkpoint or an adapter, a hub id (owner/name), a run, or a server's URL"


@dataclass(frozen=True)
class Checkpoint:
    """One side of an evaluation, as the user named it.

    `policy` is None for a server, whose model the settings name. `server` is its engine table,
    `rank` an adapter's rank; `run` is the run that the policy is from, `origin` its config.
    """

    name: str
    policy: Policy | None = None
    server: Mapping[str, Any] = field(default_factory=dict)
    rank: int | None = None
    run: Run | None = None
    origin: ConfigOrigin | None = None

    @property
    def has_adapter(self) -> bool:
        return self.policy is not None and self.policy.adapter is not None

    def policy_for(self, settings: StandaloneEval) -> Policy:
        """What the engine of these settings answers as.

        Raises:
            InputError: if the engine can't answer as it, or has no room for the adapter.
        """
        engine = settings.engine
        if self.policy is None:
            return _served(self.name, engine)
        if isinstance(engine, OpenAIEngineConfig):
            raise InputError(
                f"{self.name}: the engine is the server at {engine.url}, which answers with its "
                f"own model; evaluate {engine.url} instead, or set another engine.kind"
            )
        if self.rank and isinstance(engine, VllmEngineConfig) and self.rank > engine.lora_rank:
            raise InputError(
                f"{self.name}: an adapter of rank {self.rank}, but the engine has room for "
                f"{engine.lora_rank}; --set engine.lora_rank={self.rank}"
            )
        return self.policy


def _served(name: str, engine: EngineConfig) -> Policy:
    """A server's model, known by where it is and what it is called there.

    Raises:
        InputError: if no name is given, and the server can't be asked for it, or has several.
    """
    if not isinstance(engine, OpenAIEngineConfig):
        raise InputError(
            f"{name} is a server's URL, which an engine of kind {engine.kind!r} can't ask; leave "
            "engine.kind out"
        )
    from samplers.engines.openai import served_model

    # By its name, so that another model at this URL is not taken for it.
    model = engine.model or served_model(engine)
    return Policy(fingerprint=digest({"server": engine.url, "model": model}), model=model)


def find_checkpoint(name: str, store: Store, *, trust_remote_code: bool = False) -> Checkpoint:
    """What `name` stands for; a folder of that name goes before a run.

    Raises:
        InputError: if it is nothing that can be evaluated.
    """
    if name.startswith(("http://", "https://")):
        return Checkpoint(name, server={"kind": "openai", "url": name})
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _in_folder(name, folder, trust_remote_code)
    if "/" in name and not name.startswith((".", "/", "~")):
        return _on_hub(name, trust_remote_code)
    if folder.is_absolute() or "/" in name:
        raise InputError(f"{name!r} is no folder ({looked_for(name)}); give {_WHAT}")
    return _of_run(name, store)


def _in_folder(name: str, folder: Path, trust_remote_code: bool) -> Checkpoint:
    if (folder / "config.json").exists():
        model = ModelConfig(path=str(folder), trust_remote_code=trust_remote_code)
        return Checkpoint(name, base_policy(model))
    if (folder / _ADAPTER).exists():
        return _adapter(name, folder, trust_remote_code)
    raise InputError(
        f"{name}: the folder has neither config.json, as a checkpoint has, nor {_ADAPTER}, as a "
        f"LoRA adapter has, so there is nothing to load; give {_WHAT}"
    )


def _adapter(name: str, folder: Path, trust_remote_code: bool) -> Checkpoint:
    """A LoRA adapter on the model that its own config names."""
    found = _adapter_config(name, folder)
    path = found.get("base_model_name_or_path")
    if not path:
        raise InputError(
            f"{name}: {_ADAPTER} names no base_model_name_or_path, so the model that the adapter "
            "is for is not known; write it there"
        )
    model = ModelConfig(
        path=str(path), revision=found.get("revision"), trust_remote_code=trust_remote_code
    )
    try:
        base = base_policy(model)
    except InputError as error:
        raise InputError(f"{name}: the model that its {_ADAPTER} names: {error}") from None
    policy = Policy(
        fingerprint=digest({"base": base.fingerprint, "adapter": checkpoint_digest(folder)}),
        model=base.model,
        adapter=str(folder.resolve()),
        revision=base.revision,
        trust_remote_code=trust_remote_code,
    )
    return Checkpoint(name, policy, rank=found.get("r"))


def _adapter_config(name: str, folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _ADAPTER).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{name}: {_ADAPTER} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{name}: {_ADAPTER} holds no table")
    return found


def _on_hub(name: str, trust_remote_code: bool) -> Checkpoint:
    """`owner/name`, or `owner/name@revision`."""
    path, _, revision = name.partition("@")
    try:
        model = ModelConfig(
            path=path, revision=revision or None, trust_remote_code=trust_remote_code
        )
        return Checkpoint(name, base_policy(model))
    except InputError:
        raise InputError(
            f"{name!r} is no folder ({looked_for(name)}) and no hub id; give {_WHAT}"
        ) from None


def _of_run(name: str, store: Store) -> Checkpoint:
    """`RUN`, its incumbent; `RUN@N`, iteration N's candidate; `RUN@base`, what it started from."""
    run_name, _, at = name.partition("@")
    runs = {run.name: run for run in list_runs(store)}
    if run_name not in runs:
        known = ", ".join(sorted(runs)) or "none"
        raise InputError(
            f"{name!r} is no folder here and no run in {store.root} (runs there: {known}); "
            f"give {_WHAT}"
        )
    run = runs[run_name]
    config = stored_config(run.config, run.name)
    origin = ConfigOrigin(f"run {run.name}", config, renewed_tables(run.config))
    return Checkpoint(name, _policy_of(run, origin, at), run=run, origin=origin)


def _policy_of(run: Run, origin: ConfigOrigin, at: str) -> Policy:
    config = origin.config
    if at == "base":
        return base_policy(config.model)
    if not at:
        promoted = [each.policy for each in candidates(run, config) if each.promoted]
        return promoted[-1] if promoted else base_policy(config.model)
    if not at.isdigit():
        raise InputError(
            f"{run.name}@{at}: after @ comes an iteration's number, or base; {run.name} alone is "
            "the run's incumbent"
        )
    return choose(run, config, int(at))
