"""Which engine arguments and sampling parameters the installed vLLM takes, without importing it."""

from __future__ import annotations

from collections.abc import Iterable

from ratchet.installed import annotated_fields, unknown_names


def unknown_engine_args(names: Iterable[str]) -> list[str]:
    """One line for each name that is no engine argument; empty where that can't be told."""
    known = annotated_fields("vllm", "engine/arg_utils.py", "EngineArgs")
    return unknown_names(names, known, "engine argument of the installed vLLM")


def unknown_sampling_params(names: Iterable[str]) -> list[str]:
    """One line for each name that is no sampling parameter; empty where that can't be told."""
    known = annotated_fields("vllm", "sampling_params.py", "SamplingParams")
    return unknown_names(names, known, "sampling parameter of the installed vLLM")
