"""What the flow and the engine process say to each other: pickled dataclasses over one socket.

Every request and every answer carries its epoch, the number of the `generate` call it belongs to,
so that answers to an abandoned call are told from those of the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ratchet.generation.engine import Request, SampledGroup, Sampling
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import Policy
from samplers.config import EngineConfig


@dataclass(frozen=True, slots=True)
class Start:
    """Once, first. `lora`: adapters will be loaded, so the engine must keep room for them."""

    engine: EngineConfig
    prompt: PromptConfig
    lora: bool


@dataclass(frozen=True, slots=True)
class Begin:
    """Load `policy` and sample like this from now on; forget what is still pending."""

    epoch: int
    policy: Policy
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Add:
    """More requests for the epoch begun."""

    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Forget what is pending."""


@dataclass(frozen=True, slots=True)
class Release:
    """Give device memory back, then say `Released`."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The policy of `Begin` answers from now on."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Finished:
    """What one step did: `drawn` completions, and the groups that these made whole."""

    epoch: int
    groups: tuple[SampledGroup, ...]
    drawn: int


@dataclass(frozen=True, slots=True)
class Alive:
    """A step was done, though no completion ended."""


@dataclass(frozen=True, slots=True)
class Released:
    """Device memory was given back."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What the user asked for can't work; the process ends after this."""

    reason: str


ToEngine: TypeAlias = Start | Begin | Add | Cancel | Release
FromEngine: TypeAlias = Loaded | Finished | Alive | Released | Refused
