"""Settings of tail training; importable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trainers.config.rows import RowsConfig


class TailConfig(RowsConfig):
    """Supervised fine-tuning on the ends of accepted completions."""

    kind: Literal["tail"] = "tail"
    tail: int = Field(default=8, ge=1)
    """Tokens at the end of a completion that are learned."""
