"""Settings of the exploration monitor. None of them changes a figure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ratchet.config import Config


class ExplorationConfig(Config):
    """When a run counts as having nothing more to find, and whether it stops there."""

    stop_at_plateau: bool = False
    """Stop the run at a plateau; left out, it is only told. `patience` may stop it before."""
    plateau_iterations: Annotated[int, Field(ge=2)] = 2
    """Iterations in a row that must show no gain; one alone may be chance."""
    coverage_rise: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    """Rise of the share of problems solved that is no plateau (0.01 is one point); below it is what
    sampling anew does by itself."""
