"""Two evaluations of one benchmark, paired: for a program and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evals.attempts import gather
from evals.compare.paired_comparison import PairedComparison, compare
from evals.summary import GRADER_BROKEN
from flows.reports.figures import share
from flows.standalone.evaluator import Evaluation, Evaluator, result_of
from flows.standalone.tables import broken, protocol_line, test_reading
from ratchet.errors import InputError
from ratchet.records import EvalRow

SHOWN = 20
"""Discordant problems, and regressions, that are printed; --json has all."""


@dataclass(frozen=True)
class Compared:
    """Both sides' results; `found` is None where one of them could not be graded at all."""

    a: dict[str, Any]
    b: dict[str, Any]
    found: PairedComparison | None

    @property
    def broken(self) -> bool:
        return self.found is None

    def answer(self) -> dict[str, Any]:
        """The answer for a program."""
        comparison = asdict(self.found) if self.found else None
        return {
            "benchmark": self.a["benchmark"],
            "comparison": comparison,
            "a": self.a,
            "b": self.b,
        }


def compared(evaluator: Evaluator, one: Evaluation, other: Evaluation) -> Compared:
    """Evaluate both where that was not done yet, and pair them.

    Raises:
        InputError: if both are the same, or no problem could be put to either.
    """
    _check_differ(one, other)
    measured = [evaluator.measure(each) for each in (one, other)]
    a, b = (result_of(each) for each in measured)
    if GRADER_BROKEN in (a["metrics"]["state"], b["metrics"]["state"]):
        return Compared(a, b, None)
    sides = [gather(each.artifact.rows(EvalRow)) for each in measured]
    names = (a["checkpoint"], b["checkpoint"])
    try:
        found = compare(*sides, names=names, confidence=one.settings.eval.confidence)
    except ValueError as error:
        raise InputError(f"{names[0]} and {names[1]} on {a['benchmark']}: {error}") from None
    return Compared(a, b, found)


def _check_differ(one: Evaluation, other: Evaluation) -> None:
    """Refuse to compare completions with themselves."""
    policies = [each.checkpoint.policy_for(each.settings).fingerprint for each in (one, other)]
    if policies[0] == policies[1] and one.settings == other.settings:
        raise InputError(
            f"{one.checkpoint.name} and {other.checkpoint.name} are the same checkpoint, so there "
            "is nothing to compare; ratchet eval CHECKPOINT --aa draws one twice, and says what "
            "the gate makes of it"
        )


def paired_lines(compared: Compared) -> list[str]:
    """A comparison in words: the sentence first."""
    sides = (compared.a, compared.b)
    benchmark, found = compared.a["benchmark"], compared.found
    if found is None:
        stuck = [side for side in sides if side["metrics"]["state"] == GRADER_BROKEN]
        told = [f"  {side['checkpoint']}: {broken(side['metrics']).strip()}" for side in stuck]
        return [f"on {benchmark}: no comparison can be made", *told]
    return [
        f"on {benchmark}: {found.sentence}",
        *map(_side_line, sides),
        *_counts(found),
        *_problems(found),
        *(f"  {line}" for line in _protocols(compared)),
    ]


def _side_line(side: Mapping[str, Any]) -> str:
    there = " (from the store)" if side["reused"] else ""
    reading = f"; {test_reading(side['test_reading'])}" if side["test_reading"] else ""
    return f"  {side['checkpoint']}: {share(side['metrics'])}{there}{reading}"


def _counts(found: PairedComparison) -> Iterator[str]:
    completions = "one completion" if found.k == 1 else f"{found.k} completions"
    yield (
        f"  {found.n:,} problems, {completions} of each; {found.gained:,} gained, "
        f"{found.lost:,} lost; {found.test}, two-sided"
    )
    if found.unscored_a or found.unscored_b:
        yield f"  not graded, counted both ways: {found.unscored_a:,} and {found.unscored_b:,}"
    if found.left_out:
        yield f"  left out: {found.left_out:,} problems whose prompts have no room"


def _problems(found: PairedComparison) -> Iterator[str]:
    if found.regressions:
        count = len(found.regressions)
        yield f"  {count:,} regressions: {_listed(found.regressions)}"
    if not found.discordant:
        return
    ranked = sorted(found.discordant, key=lambda each: -abs(each.b - each.a))
    yield "  where they differ most:"
    yield from (
        f"    {each.problem_id}: {100 * each.a:.0f} % and {100 * each.b:.0f} %"
        for each in ranked[:SHOWN]
    )
    if len(ranked) > SHOWN:
        yield f"    and {len(ranked) - SHOWN:,} more; --json has all"


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more


def _protocols(compared: Compared) -> list[str]:
    """One line, unless the sides were asked by other engines."""
    lines = [protocol_line(side["protocol"]) for side in (compared.a, compared.b)]
    return [f"protocol {line}" for line in dict.fromkeys(lines)]
