"""Which engine arguments and sampling parameters the installed vLLM takes, without importing it."""

from __future__ import annotations

from collections.abc import Iterable

from ratchet.installed import annotated_fields, literal_numbers, unknown_names


def unknown_engine_args(names: Iterable[str]) -> list[str]:
    """One line for each name that is no engine argument; empty where that can't be told."""
    known = annotated_fields("vllm", "engine/arg_utils.py", "EngineArgs")
    return unknown_names(names, known, "engine argument of the installed vLLM")


def unknown_sampling_params(names: Iterable[str]) -> list[str]:
    """One line for each name that is no sampling parameter; empty where that can't be told."""
    known = annotated_fields("vllm", "sampling_params.py", "SamplingParams")
    return unknown_names(names, known, "sampling parameter of the installed vLLM")


def lora_rank_that_holds(rank: int) -> int:
    """The lowest `max_lora_rank` for adapters of up to `rank`: vLLM takes but a few numbers."""
    taken = literal_numbers("vllm", "config/lora.py", "MaxLoRARanks")
    return min((most for most in taken if most >= rank), default=rank)
