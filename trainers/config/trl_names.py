"""Which arguments, optimizers and schedules the installed TRL takes, without importing it."""

from __future__ import annotations

from collections.abc import Iterable

from ratchet.installed import annotated_fields, enum_values, unknown_names

_ARGUMENTS = ("transformers", "training_args.py", "TrainingArguments")
_SHARED = ("trl", "trainer/base_config.py", "_BaseConfig")
_OPTIMIZERS = ("transformers", "training_args.py", "OptimizerNames")
_SCHEDULES = ("transformers", "trainer_utils.py", "SchedulerType")


def trl_arguments(kind: str) -> frozenset[str]:
    """What TRL's config of a kind of trainer takes; empty where that can't be told."""
    layers = [
        annotated_fields(*_ARGUMENTS),
        annotated_fields(*_SHARED),
        annotated_fields("trl", f"trainer/{kind}_config.py", f"{kind.upper()}Config"),
    ]
    return frozenset().union(*layers) if all(layers) else frozenset()


def unknown_arguments(names: Iterable[str], kind: str) -> list[str]:
    """One line for each name that is no argument."""
    what = f"argument of {kind.upper()}Config in the installed TRL"
    return unknown_names(names, trl_arguments(kind), what)


def unknown_choices(optimizer: str, schedule: str) -> list[str]:
    """One line for each name that the installed transformers doesn't know."""
    known = "that the installed transformers knows"
    return [
        *unknown_names([optimizer], enum_values(*_OPTIMIZERS), f"optimizer {known}"),
        *unknown_names([schedule], enum_values(*_SCHEDULES), f"lr_scheduler {known}"),
    ]
