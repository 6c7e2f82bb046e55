"""What an artifact is: the hash of its stage, its settings and its inputs' fingerprints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

DIGEST_CHARS = 24


def digest(value: Any) -> str:
    """Short stable hash of any JSON value; key order does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARS]


def derive_seed(*parts: Any) -> int:
    """A seed in [0, 2**31) from anything that names what it is for."""
    return int(digest(list(parts)), 16) % 2**31


@dataclass(frozen=True, kw_only=True)
class ArtifactSpec:
    """Everything that decides an artifact's content.

    `settings` holds only what can change the result; devices, paths and worker counts stay out.
    `inputs` maps an input's name to its fingerprint (the hash of its content, not of its recipe):
    when an input is made again with another content, what was built on it is built again.
    """

    stage: str
    version: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """The artifact's name in the store."""
        parts = {
            "stage": self.stage,
            "version": self.version,
            "settings": dict(self.settings),
            "inputs": dict(self.inputs),
        }
        return f"{self.stage}-{digest(parts)}"

    def redone(self, times: int) -> ArtifactSpec:
        """The same, to be made anew: another identity for each time that the user asked for it."""
        return replace(self, settings={**self.settings, "redo": times}) if times else self
