"""Sets that share nothing: what they share is dropped from the less precious one, or refused.

Train gives way to dev, test and the guards, dev to test. Real sets hold near-duplicates by nature,
so that a few are dropped and listed; many mean that two sets are one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ratchet.errors import InputError
from ratchet.problems.overlap import Overlap, find_overlaps
from ratchet.problems.sets import ProblemSet, write_problems
from ratchet.records import Problem
from ratchet.store.artifacts import Store, Workspace
from ratchet.store.identity import ArtifactSpec
from ratchet.texts.contamination import MEASURE_VERSION

OnOverlap = Literal["drop", "stop", "allow"]
VERSION = 1
_OVERLAP_VERSION = 3
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class OverlapRules:
    """What counts as overlap, and what is done about it.

    `max_dropped` is the share of a set's problems beyond which nothing is dropped but all stops.
    """

    on_overlap: OnOverlap = "drop"
    threshold: float = 0.8
    max_dropped: float = 0.05


@dataclass(frozen=True, slots=True)
class Shared:
    """A problem that the set `held_by` holds as well, as `other_id`; kind and share as measured."""

    problem_id: str
    held_by: str
    other_id: str
    kind: str
    share: float


Find = Callable[[str, str], Iterable[Overlap]]
"""The overlaps of two sets, by their names."""


def _check_shared(
    shared: Mapping[str, Sequence[Shared]], sizes: Mapping[str, int], rules: OverlapRules
) -> None:
    """Stop before a token is spent where the rules want it.

    Raises:
        InputError: with examples, if sets share anything under `stop`, or more than may be dropped.
    """
    if rules.on_overlap == "allow":
        return
    found = [
        line
        for name, pairs in shared.items()
        if _too_many(len(_ids(pairs)), sizes[name], rules)
        for line in _told(name, pairs, sizes[name])
    ]
    if found:
        raise InputError("\n".join(["problem sets overlap:", *found, _advice(rules)]))


def keep_apart(
    store: Store, sets: Mapping[str, ProblemSet], rules: OverlapRules
) -> dict[str, ProblemSet]:
    """The sets without what they share; a set that shares nothing stays the artifact it was.

    Those that are missing are compared with none. Under `allow` the problems stay, and what is
    shared is still listed. Sets of the same content are compared once.

    Raises:
        InputError: with examples, if sets share anything under `stop`, or more than may be dropped.
    """

    def find(name: str, holder: str) -> list[Overlap]:
        return _overlaps(store, sets[name], sets[holder], rules.threshold)

    shared = _shared(sets, find)
    _check_shared(shared, {name: len(each.problems) for name, each in sets.items()}, rules)
    return {
        name: _apart(store, sets, name, shared[name], rules) if shared.get(name) else each
        for name, each in sets.items()
    }


def _summary(
    problems: Sequence[Problem], shared: Sequence[Shared], rules: OverlapRules
) -> dict[str, Any]:
    """What a manifest and a plan say of one set: counts, and every pair."""
    ids = _ids(shared)
    dropped = len(ids) if rules.on_overlap == "drop" else 0
    return {
        "problems": len(problems) - dropped,
        "of": len(problems),
        "on_overlap": rules.on_overlap,
        "shared": len(ids),
        "by": dict(Counter(pair.held_by for pair in shared)),
        "overlaps": [asdict(pair) for pair in shared],
    }


def _shared(names: Iterable[str], find: Find) -> dict[str, list[Shared]]:
    return {
        name: [
            Shared(each.id_a, holder, each.id_b, each.kind, round(each.share, 4))
            for holder in holders
            for each in find(name, holder)
        ]
        for name, holders in _holders(list(names)).items()
    }


def _holders(names: Sequence[str]) -> dict[str, list[str]]:
    """For each set that has to give way, those that it gives way to."""
    holders = {
        "train": [name for name in names if name != "train"],
        "dev": [name for name in names if name == "test"],
    }
    return {name: others for name, others in holders.items() if name in names}


def _ids(shared: Iterable[Shared]) -> set[str]:
    return {pair.problem_id for pair in shared}


def _too_many(count: int, size: int, rules: OverlapRules) -> bool:
    if rules.on_overlap == "stop":
        return count > 0
    return count > rules.max_dropped * size or count == size


def _told(name: str, shared: Sequence[Shared], size: int) -> list[str]:
    ids, others = _ids(shared), ", ".join(dict.fromkeys(pair.held_by for pair in shared))
    count = f"{len(ids):,} of its {size:,} problems ({len(ids) / size:.1%})"
    lines = [f"{name} shares {count} with {others}:"]
    lines += [
        f"  {pair.problem_id} ~ {pair.held_by} {pair.other_id} ({pair.kind}, {pair.share:.2f})"
        for pair in shared[:_SHOWN]
    ]
    return lines + ([f"  … and {len(shared) - _SHOWN:,} more"] if len(shared) > _SHOWN else [])


def _advice(rules: OverlapRules) -> str:
    means = "dev and test would measure memory; choose other splits, or take the problems out"
    if rules.on_overlap == "stop":
        return f'{means}: problems.on_overlap="drop" does it'
    return (
        f"{means}; dropping so many leaves another set than was asked for "
        f"(problems.max_dropped={rules.max_dropped:g})"
    )


def _apart(
    store: Store,
    sets: Mapping[str, ProblemSet],
    name: str,
    shared: Sequence[Shared],
    rules: OverlapRules,
) -> ProblemSet:
    own, ids = sets[name], _ids(shared)
    kept = [
        problem
        for problem in own.problems
        if rules.on_overlap == "allow" or problem.problem_id not in ids
    ]
    spec = ArtifactSpec(
        stage="disjoint",
        version=VERSION,
        settings={"on_overlap": rules.on_overlap, **_measure(rules.threshold)},
        inputs={other: sets[other].fingerprint for other in [name, *_holders(list(sets))[name]]},
    )

    def make(out: Workspace) -> dict[str, Any]:
        write_problems(out, kept)
        return _summary(own.problems, shared, rules)

    artifact, _ = store.build(spec, make)
    return ProblemSet(
        name=name, artifact=artifact, problems=tuple(kept), rules=own.rules, skipped=own.skipped
    )


def _overlaps(store: Store, a: ProblemSet, b: ProblemSet, threshold: float) -> list[Overlap]:
    check = ArtifactSpec(
        stage="overlap",
        version=_OVERLAP_VERSION,
        settings=_measure(threshold),
        inputs={"a": a.fingerprint, "b": b.fingerprint},
    )

    def make(_out: Workspace) -> dict[str, Any]:
        found = find_overlaps(a.problems, b.problems, threshold=threshold)
        return {"overlaps": [asdict(pair) for pair in found]}

    artifact, _ = store.build(check, make)
    return [Overlap(**pair) for pair in artifact.metrics["overlaps"]]


def _measure(threshold: float) -> dict[str, Any]:
    return {"threshold": threshold, "measure": MEASURE_VERSION}
