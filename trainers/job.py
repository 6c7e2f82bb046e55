"""What the flow tells the process that trains; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """What the worker is told, as JSON: `rows` are Parquet files, paths are absolute."""

    config: dict[str, Any]
    start: dict[str, Any]
    base: dict[str, Any]
    rows: list[str]
    prompt_tokens: dict[str, int]
    """Some problems' prompts, in tokens, when they were sampled."""
    seed: int
    split: dict[str, int]
    state_folder: str
    checkpoint: str
    result: str
    tables: str
    """Folder for what else belongs into the artifact."""
    trackers: str
    """Folder for what trackers write; it outlives the training."""
    name: str
    """What trackers call the training."""
    rules: dict[str, Any]
    started_at: float
    """Seconds since the epoch, when the worker was started."""
