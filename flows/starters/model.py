"""What a model's folder tells of it, so that a config fits; of a hub id nothing is known yet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratchet.errors import InputError, looked_for

DEFAULT_MODEL = "Qwen/Qwen2.5-1.5B-Instruct"

_SMALL_BYTES = 1_000_000_000
"""Weights of fewer bytes are trained whole: half a billion parameters in 16 bits."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model's path as a config has it, and what a config depends on."""

    path: str
    context: int | None = None
    """Tokens that the model was made for; None where that is not known."""
    is_small: bool = False
    has_chat_template: bool = True


def look_at_model(path: str) -> ModelFacts:
    """What is known of a model; the path of a folder is made absolute.

    Raises:
        InputError: if the path can only be a folder and is not there, or it holds no checkpoint.
    """
    folder = Path(path)
    if not folder.is_dir():
        if path.startswith((".", "/", "~")):
            raise InputError(f"--model {path!r} does not exist ({looked_for(path)})")
        return ModelFacts(path)
    if not (folder / "config.json").is_file():
        raise InputError(f"--model {path!r} has no config.json: it is no checkpoint")
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    return ModelFacts(
        path=str(folder.resolve()),
        context=_context(_json(folder / "config.json")),
        is_small=sum(file.stat().st_size for file in weights) < _SMALL_BYTES,
        has_chat_template=(folder / "chat_template.jinja").is_file()
        or bool(_json(folder / "tokenizer_config.json").get("chat_template")),
    )


def _context(config: dict[str, Any]) -> int | None:
    found = config.get("max_position_embeddings", config.get("text_config"))
    if isinstance(found, dict):
        return _context(found)
    return found if isinstance(found, int) else None


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is no JSON: {error}") from error
    return content if isinstance(content, dict) else {}
