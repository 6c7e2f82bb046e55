"""The model that completions are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ratchet.config import Config
from ratchet.errors import InputError, looked_for
from ratchet.store.files import sha256_file
from ratchet.store.identity import digest


class ModelConfig(Config):
    """The base model."""

    path: str
    """A folder with a Hugging Face checkpoint, or a hub id."""
    revision: str | None = None
    """A hub revision; pin one, or a later push changes what the run means."""
    trust_remote_code: bool = False
    """Run the Python code that lies beside the checkpoint; a few models need it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A checkpoint that an engine can load.

    `fingerprint` names its content. `adapter` is a folder with a LoRA adapter for `model`, or
    None. `iteration` is the iteration that trained it; -1 for the base model.
    """

    fingerprint: str
    model: str
    adapter: str | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    iteration: int = -1


def base_policy(config: ModelConfig) -> Policy:
    """The base model as a policy; a local folder is fingerprinted by its files' content.

    Raises:
        InputError: if the path looks local and is not there, or holds no checkpoint.
    """
    path = Path(config.path)
    if path.is_dir():
        if not (path / "config.json").exists():
            raise InputError(f"model.path {config.path!r} has no config.json: it is no checkpoint")
        fingerprint = checkpoint_digest(path)
        location = str(path.resolve())
    elif _looks_local(config.path):
        raise InputError(
            f"model.path {config.path!r} does not exist ({looked_for(config.path)}); give a folder "
            "or a hub id"
        )
    else:
        fingerprint = digest({"hub": config.path, "revision": config.revision})
        location = config.path
    return Policy(
        fingerprint=fingerprint,
        model=location,
        revision=config.revision,
        trust_remote_code=config.trust_remote_code,
    )


def checkpoint_digest(folder: Path) -> str:
    """What names the content of a folder with a checkpoint."""
    return digest({path.name: sha256_file(path) for path in _model_files(folder)})


def _model_files(path: Path) -> list[Path]:
    kinds = {".json", ".safetensors", ".bin", ".jinja", ".txt", ".model"}
    return sorted(p for p in path.iterdir() if p.suffix in kinds)


def _looks_local(path: str) -> bool:
    """A hub id is `name` or `owner/name`; what can't be one, or whose folder is here, is a path."""
    parent = Path(path).parent
    is_path = path.startswith((".", "/", "~")) or path.count("/") > 1
    return is_path or (parent != Path() and parent.exists())
