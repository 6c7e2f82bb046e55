"""What train has and another set lacks: a cut of a sorted file leaves whole subjects out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ratchet.problems.layouts import subject_key
from ratchet.records import Problem


def left_out(train: Sequence[Problem], other: Sequence[Problem]) -> dict[str, list[str]]:
    """The levels and subjects of `train` that `other` lacks; none where it knows of none.

    A benchmark that has no levels at all, or no subjects, is another kind of set, and no cut.
    """
    lacking = {
        "levels": _lacking(_levels(train), _levels(other)),
        "subjects": _lacking(_subjects(train), _subjects(other)),
    }
    return {what: values for what, values in lacking.items() if values}


def coverage_warnings(problems: Mapping[str, Sequence[Problem]]) -> list[str]:
    """For dev and test, what each leaves out, and what to do about it."""
    return [
        _warning(name, what, values)
        for name in ("dev", "test")
        if name in problems and "train" in problems
        for what, values in left_out(problems["train"], problems[name]).items()
    ]


def _warning(name: str, what: str, values: Sequence[str]) -> str:
    return (
        f"{name} has no problem of {what} {', '.join(values)}, which train has: it measures "
        f"another thing than is trained; if a sorted set was cut, give problems.{name} and what is "
        "cut from the same rows one shuffle_seed"
    )


def _lacking(wanted: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    return [told for key, told in sorted(wanted.items()) if key not in there] if there else []


def _levels(problems: Sequence[Problem]) -> dict[str, str]:
    return {str(p.level): str(p.level) for p in problems if p.level is not None}


def _subjects(problems: Sequence[Problem]) -> dict[str, str]:
    return {subject_key(p.subject): p.subject for p in problems if p.subject}
