"""GRPO problems: those whose pass rate leaves something to learn. Pure functions."""

from __future__ import annotations

from typing import Literal

from filters.kinds.difficulty import pass_rate
from filters.selection.config import GrpoSelection
from filters.selection.group import JudgedGroup
from ratchet.records import GrpoRow

GrpoFate = Literal["in_band", "too_easy", "too_hard", "not_graded"]


def grpo_fate(group: JudgedGroup, config: GrpoSelection) -> GrpoFate:
    """Whether a problem's pass rate lies in the band, bounds included."""
    rate = pass_rate(verdict.reward for verdict in group.verdicts[config.by])
    if rate is None:
        return "not_graded"
    if rate < config.min_pass_rate:
        return "too_hard"
    return "too_easy" if rate > config.max_pass_rate else "in_band"


def grpo_row(group: JudgedGroup) -> GrpoRow:
    """The problem as a training row."""
    return GrpoRow(
        problem_id=group.problem.problem_id,
        problem=group.problem.problem,
        prompt=group.prompt,
        reference_answer=group.problem.reference_answer,
    )
