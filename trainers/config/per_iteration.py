"""Settings that differ from iteration to iteration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIELD = "per_iteration"
_FIXED = {
    "kind": "the rows that a training takes are chosen for the whole run",
    FIELD: "a schedule holds no schedule",
}
_EITHER = {"epochs": "max_steps", "max_steps": "epochs"}


def fixed_keys(overrides: Mapping[str, Any]) -> list[str]:
    """Why keys can't be given per iteration; empty where all can."""
    return [f"{key} can't change: {why}" for key, why in _FIXED.items() if key in overrides]


def overridden(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with `overrides` in their place, and without a schedule.

    A table replaces the whole table. Of `epochs` and `max_steps`, the one that is overridden ends
    the training, whatever ended it before.
    """
    replaced = {_EITHER[key] for key in overrides if key in _EITHER} - set(overrides)
    kept = {key: value for key, value in settings.items() if key not in (*replaced, FIELD)}
    return {**kept, **overrides}
