"""Rows of an evaluation, as its stage writes them."""

from __future__ import annotations

from typing import Any

from ratchet.records import EvalRow


def make_row(correct: bool | None, problem_id: str = "p", **given: Any) -> EvalRow:
    reasons = {True: "equal_string", False: "different", None: "timeout"}
    defaults: dict[str, Any] = {
        "benchmark": "dev",
        "attempt": 0,
        "completion": "text",
        "answer": "7" if correct else "8",
        "reason": reasons[correct],
        "finish_reason": "stop",
        "num_tokens": 5,
    }
    return EvalRow(**{**defaults, **given}, problem_id=problem_id, correct=correct)


def dead(reason: str = "engine_error") -> EvalRow:
    """What the engine made nothing for."""
    return make_row(
        None, completion="", answer=None, reason=reason, finish_reason="error", num_tokens=0
    )
