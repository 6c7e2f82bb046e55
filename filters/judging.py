"""Groups through all filters, in the config's order. Pure but for what a filter itself holds.

The boundary between a bad completion and a broken filter lies here: what a filter raises on one
completion becomes a mark with the reason `filter_error`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from filters.base import (
    FILTER_ERROR,
    CompletionFilter,
    Filter,
    FilterBase,
    Group,
    GroupFilter,
    Mark,
    SetFilter,
    is_sound,
)
from ratchet.errors import InputError
from ratchet.records import Completion, Problem

Known = Mapping[str, list[Mark]]
"""Marks on a group's sound completions, by the name of the filter that made them."""


@dataclass(frozen=True, slots=True)
class GroupMarks:
    """A group's marks, `marks[i][j]` filter i's on completion j, and the sketches of a last filter
    that looks across groups (None where it has nothing to look at)."""

    marks: list[list[Mark]]
    standing: list[bool]
    sketches: list[Any]


PackedGroup = tuple[list[list[tuple[Any, ...]]], list[bool], list[Any]]


def packed(judged: GroupMarks) -> PackedGroup:
    """A group's marks as bare tuples, which travel between processes in a third of the time."""
    return [[tuple(mark) for mark in row] for row in judged.marks], judged.standing, judged.sketches


def unpacked(group: PackedGroup) -> GroupMarks:
    """The other way."""
    marks, standing, sketches = group
    return GroupMarks([[Mark._make(mark) for mark in row] for row in marks], standing, sketches)


class Judge:
    """Applies filters to groups. `rules[i]` is None where the marks are made elsewhere."""

    def __init__(self, configs: Sequence[FilterBase], rules: Sequence[Filter | None]) -> None:
        across = [rule for rule in rules if isinstance(rule, SetFilter)]
        self._across = across[0] if across else None
        self._steps = [
            (config, None if rule is None else marker_of(rule))
            for config, rule in zip(configs, rules, strict=True)
            if not isinstance(rule, SetFilter)
        ]

    def judge(self, problem: Problem, group: Sequence[Completion], known: Known) -> GroupMarks:
        """Every filter's marks on `group`; `known` holds those that were made elsewhere, by name.

        A completion that the engine failed on is shown to no filter.
        """
        standing = [is_sound(completion) for completion in group]
        sound = [at for at, stands in enumerate(standing) if stands]
        failed = [_failed(completion) for completion in group]
        marks: list[list[Mark]] = []
        earlier: dict[str, list[Mark]] = {}
        shown = [group[at] for at in sound]
        for config, marker in self._steps:
            view = Group(problem, shown, earlier, [standing[at] for at in sound])
            made = marker(view) if marker else known[config.label]
            row = _spread(made, sound, [*failed])
            marks.append(row)
            earlier[config.label] = made
            if config.mode == "require":
                standing = [
                    stands and mark.accepted for stands, mark in zip(standing, row, strict=True)
                ]
        if self._across is None:
            return GroupMarks(marks, standing, [])
        view = Group(problem, shown, earlier, [standing[at] for at in sound])
        sketches = _spread(_sketches(self._across, view), sound, [None] * len(group))
        return GroupMarks(marks, standing, sketches)


Marker = Callable[[Group], list[Mark]]


def marker_of(rule: CompletionFilter | GroupFilter) -> Marker:
    """What makes a filter's marks on one group; what the filter raises is a mark too.

    Decided once: to ask a class for its Protocol takes longer than many a filter.
    """
    if isinstance(rule, CompletionFilter):
        return lambda group: _marked_each(rule, group)
    return lambda group: _marked_whole(rule, group)


def _marked_each(rule: CompletionFilter, group: Group) -> list[Mark]:
    return [
        _guarded(lambda c=completion: rule.mark(group.problem, c))  # type: ignore[misc]
        for completion in group.completions
    ]


def _marked_whole(rule: GroupFilter, group: Group) -> list[Mark]:
    marks = _within_bounds(lambda: rule.mark_group(group))
    count = len(group.completions)
    if isinstance(marks, Mark):
        return [marks] * count
    if not isinstance(marks, list) or len(marks) != count:
        seen = f"{len(marks)}" if isinstance(marks, list) else type(marks).__name__
        return [_error(f"{type(rule).__name__}: {seen} for {count} completions")] * count
    return [_checked(mark) for mark in marks]


def mark_across(rule: SetFilter, judged: GroupMarks, group: Sequence[Completion]) -> list[Mark]:
    """The marks of a filter that looks across groups; sketches come in order."""
    made = {at: s for at, s in enumerate(judged.sketches) if s is not None}
    shown = {at: sketch for at, sketch in made.items() if not isinstance(sketch, Mark)}
    marks = dict(zip(shown, rule.mark_sketches(list(shown.values())), strict=True))
    return [
        marks[at] if at in marks else made.get(at) or _failed(completion)
        for at, completion in enumerate(group)
    ]


def _sketches(rule: SetFilter, group: Group) -> list[Any]:
    """As `marked`; a sketch that failed is the mark that says so."""
    sketches = _within_bounds(lambda: rule.sketch(group))
    return [sketches] * len(group.completions) if isinstance(sketches, Mark) else sketches


def _guarded(work: Callable[[], Mark]) -> Mark:
    return _checked(_within_bounds(work))


def _checked(mark: Any) -> Mark:
    if isinstance(mark, Mark):
        return mark
    return _error(f"returned {type(mark).__name__} in place of a Mark")


def _within_bounds(work: Callable[[], Any]) -> Any:
    """What `work` returns; a mark where it raises."""
    try:
        return work()
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary: a bad completion is data
        return _error(f"{type(error).__name__}: {error}")


def _error(message: str) -> Mark:
    return Mark(False, FILTER_ERROR, note=message[:500])


def _failed(completion: Completion) -> Mark:
    return Mark(False, completion.error or "engine_error")


def _spread(values: Sequence[Any], at: Sequence[int], into: list[Any]) -> list[Any]:
    """`into` with `values` put at the indices `at`."""
    for index, value in zip(at, values, strict=True):
        into[index] = value
    return into
