"""Settings of the filters and of the selection. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ratchet.config import Config

Mode = Literal["require", "mark"]
"""`require`: what this filter rejects can't be selected; `mark`: its verdict is only recorded."""


class OrmConfig(Config):
    """Outcome reward: is the final answer equal to the reference answer?"""

    kind: Literal["orm"] = "orm"
    mode: Mode = "require"


FilterConfig = OrmConfig
"""The union of all filter kinds (one so far)."""


class SelectionConfig(Config):
    """Which accepted completions become SFT rows."""

    max_per_problem: Annotated[int, Field(ge=1)] = 4
    """Cap per problem, or easy problems would drown the hard ones."""
    include_solutions: Annotated[int, Field(ge=0)] = 0
    """How many of the train problems' given solutions are mixed in; such rows have attempt -1."""
