"""From a sampler's settings to its strategy."""

from __future__ import annotations

from ratchet.generation.strategy import Independent, Strategy
from samplers.config import SamplerConfig


def build_strategy(config: SamplerConfig) -> Strategy:
    """What the sampler asks for each problem."""
    return Independent(config.group_size)
