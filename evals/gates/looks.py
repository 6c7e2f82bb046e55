"""A decision between two policies on dev, look by look at growing numbers of completions.

At each look the problems' means over all completions so far are tested at the look's share of the
decision's level. A look that finds a gain promotes; one between the first and the last that finds
the candidate behind stops; else the next look draws more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from evals.config import GateConfig, ManualGate, MinGainGate, PairedGate
from evals.gates import reasons
from evals.gates.needs import Needs, needs_of
from evals.gates.paired import Pairs
from evals.gates.regressions import pinned_regressions
from evals.gates.spending import spend_of
from evals.metrics.paired_tests import mcnemar_mid_p, paired_t, standard_error

LookOutcome: TypeAlias = Literal["promote", "go_on", "futile", "end"]
VerdictWord: TypeAlias = Literal["promoted", "kept", "underpowered", "undecided"]
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look saw, and where it leads.

    `incumbent` and `candidate` are means over `n` problems of `completions` each; `p` is compared
    with `level`, this look's share of the decision's. `se` is None for fewer than two problems, `p`
    where too much was unscored for a test.
    """

    completions: int
    n: int
    incumbent: float
    candidate: float
    difference: float
    se: float | None
    p: float | None
    level: float
    outcome: LookOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether the candidate becomes the incumbent, and the numbers behind it.

    "kept": the incumbent stays. "underpowered": it stays, but the gate could not have seen
    `smallest_gain`, and such a gain is not excluded; `needs_problems` (with these completions) or
    `needs_completions` (of each of these problems) would do, None for what would not help.
    "undecided": a person has not said yet.

    `p` is one-sided, of the last look; `level` the whole decision's. `difference` is candidate
    minus incumbent with what has no verdict counted against the candidate, `low` and `high` its
    95 % interval, as if there had been one look. `unscored_...` counts completions, `left_out` the
    problems that neither side was asked.
    """

    verdict: VerdictWord
    reason: str
    test: str
    p: float | None
    level: float
    looks: tuple[Look, ...]
    gained: int
    lost: int
    pairs: int
    unscored_incumbent: int
    unscored_candidate: int
    left_out: int
    difference: float
    low: float
    high: float
    needs_problems: int | None = None
    needs_completions: int | None = None

    @property
    def promoted(self) -> bool:
        return self.verdict == "promoted"


def look_at(
    config: GateConfig, pairs: Pairs, at: int, looks: tuple[int, ...], level: float
) -> Look:
    """Look number `at` (from 0) of `looks`: `pairs` holds all completions up to it.

    `level` is the whole decision's. At "go_on" the next look is to be drawn; at "promote" the
    numbers promote, which a pinned problem may still prevent (`decide`).
    """
    p = None if pairs.unscored.objection(config) else p_of(pairs)
    share = level * spend_of(config, looks)[at]
    empty = pairs.n == 0
    return Look(
        completions=pairs.completions,
        n=pairs.n,
        incumbent=0.0 if empty else float(pairs.incumbent.mean()),
        candidate=0.0 if empty else float(pairs.candidate.mean()),
        difference=pairs.difference,
        se=None if empty else standard_error(pairs.differences),
        p=p,
        level=share,
        outcome=_outcome(config, pairs, p, share, at, len(looks)),
    )


def p_of(pairs: Pairs) -> float:
    """One-sided: McNemar's mid-p with one completion of each problem, else the paired t-test."""
    if not pairs.n:
        return 1.0
    if pairs.completions == 1:
        return mcnemar_mid_p(pairs.gained, pairs.lost)
    return paired_t(pairs.differences).p


def _outcome(
    config: GateConfig, pairs: Pairs, p: float | None, share: float, at: int, count: int
) -> LookOutcome:
    is_last = at == count - 1
    if pairs.unscored.broken or not pairs.n:
        return "end"
    if p is not None and _promotes(config, pairs, p, share):
        return "promote"
    if is_last or share == 0:
        return "end"
    watches = isinstance(config, PairedGate) and config.futility and at > 0
    return "futile" if watches and p is not None and pairs.difference < 0 else "go_on"


def _promotes(config: GateConfig, pairs: Pairs, p: float, share: float) -> bool:
    match config:
        case MinGainGate():
            return pairs.difference >= config.min_gain - _ROUNDING
        case ManualGate():
            return False
        case _:
            return p < share


def decide(
    config: GateConfig,
    pairs_by_look: Sequence[Pairs],
    looks: tuple[int, ...],
    level: float,
    answer: bool | None = None,
) -> Decision:
    """The decision on all looks so far; `answer` is the person's word where a person decides.

    Each of `pairs_by_look` holds all completions up to its look; those after the look that settled
    it are not read.

    Raises:
        ValueError: if the looks leave it open, so that the next one is to be drawn first.
    """
    seen: list[Look] = []
    for at, pairs in enumerate(pairs_by_look):
        seen.append(look_at(config, pairs, at, looks, level))
        if seen[-1].outcome != "go_on":
            return _decided(_Settled(config, pairs, tuple(seen), looks, level, answer))
    raise ValueError(f"{len(seen)} of {len(looks)} looks leave it open: draw the next one")


@dataclass(frozen=True, slots=True)
class _Settled:
    """A contest whose looks are over."""

    config: GateConfig
    pairs: Pairs
    seen: tuple[Look, ...]
    looks: tuple[int, ...]
    level: float
    answer: bool | None

    @property
    def numbers(self) -> str:
        interval = self.pairs.interval()
        return reasons.numbers(self.pairs, interval, len(self.seen), len(self.looks))


def _decided(settled: _Settled) -> Decision:
    pairs, last, interval = settled.pairs, settled.seen[-1], settled.pairs.interval()
    verdict, reason, needs = _verdict(settled)
    return Decision(
        verdict=verdict,
        reason=reason + (needs.words if needs else "") + pairs.note,
        test=_test_of(settled),
        p=last.p,
        level=settled.level,
        looks=settled.seen,
        gained=pairs.gained,
        lost=pairs.lost,
        pairs=pairs.n,
        unscored_incumbent=pairs.unscored.incumbent,
        unscored_candidate=pairs.unscored.candidate,
        left_out=pairs.left_out,
        difference=pairs.difference,
        low=interval.low,
        high=interval.high,
        needs_problems=needs.problems if needs else None,
        needs_completions=needs.completions if needs else None,
    )


def _test_of(settled: _Settled) -> str:
    if isinstance(settled.config, MinGainGate | ManualGate):
        return settled.config.kind
    return "mcnemar" if settled.pairs.completions == 1 else "t"


def _verdict(settled: _Settled) -> tuple[VerdictWord, str, Needs | None]:
    config, pairs, p = settled.config, settled.pairs, settled.seen[-1].p
    if p is None:
        return "kept", str(pairs.unscored.objection(config)), None
    told = _told(settled, p)
    pinned = pinned_regressions(pairs, config.pinned)
    but = f", but {reasons.worse(pinned)}" if pinned else ""
    if isinstance(config, ManualGate):
        return (*_by_person(settled.answer, told + but), None)
    if settled.seen[-1].outcome == "promote":
        return ("kept" if pinned else "promoted"), told + but, None
    if isinstance(config, MinGainGate):
        return "kept", told, None
    return _not_shown(settled, told)


def _told(settled: _Settled, p: float) -> str:
    match settled.config:
        case ManualGate():
            return f"{settled.numbers}, p={p:.2g}"
        case MinGainGate(min_gain=gain):
            return f"{100 * gain:+g} points wanted, no test: {settled.numbers}, p={p:.2g}"
        case _:
            return f"{reasons.against(p, settled.seen[-1].level)} ({settled.numbers})"


def _by_person(answer: bool | None, told: str) -> tuple[VerdictWord, str]:
    match answer:
        case True:
            return "promoted", f"a person said yes: {told}"
        case False:
            return "kept", f"a person said no: {told}"
        case None:
            return "undecided", f"a person decides: {told}"


def _not_shown(settled: _Settled, told: str) -> tuple[VerdictWord, str, Needs | None]:
    """Kept or underpowered, where a test did not find the candidate better."""
    last = settled.seen[-1]
    if not settled.pairs.n:
        return "underpowered", "no dev problem could be compared", None
    if settled.level == 0:
        return "underpowered", f"{reasons.SPENT} ({settled.numbers})", None
    if last.outcome == "futile":
        return "kept", f"stopped as futile: {told}", None
    high = settled.pairs.interval().high
    needs = needs_of(settled.pairs, high, settled.config.smallest_gain, last.level)
    return ("underpowered" if needs else "kept"), told, needs
