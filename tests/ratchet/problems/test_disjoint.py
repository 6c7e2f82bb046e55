"""What is done about problems that two sets share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ratchet.errors import InputError
from ratchet.problems.disjoint import OverlapRules, keep_apart
from ratchet.problems.load import Columns, FileSource
from ratchet.problems.sets import ProblemSet, load_set
from ratchet.store.artifacts import Store

NAMES = ("Ann", "Ben", "Cid", "Dan", "Eve", "Fay", "Gus", "Hal")


def text(number: int) -> str:
    """Problems that share no run of words."""
    name = NAMES[number % len(NAMES)]
    return f"{name}{number} owns {number} pens{number}; how many pens{number} has {name}{number}?"


def make_set(store: Store, folder: Path, name: str, *texts: str) -> ProblemSet:
    path = folder / f"{name}.csv"
    path.write_text("problem,answer\n" + "".join(f'"{each}",1\n' for each in texts))
    columns = Columns(reference_answer="answer")
    return load_set(store, name, FileSource(path=str(path), columns=columns))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def sets(store: Store, tmp_path: Path) -> dict[str, ProblemSet]:
    """Train shares one problem with each other set, and dev shares one with test and the guard."""
    texts = {
        "train": [text(n) for n in range(40)],
        "dev": [text(n).upper() for n in (0, 101, 102, *range(110, 130))],
        "test": [text(1), text(101), *map(text, range(140, 150))],
        "guard": [text(2), text(102)],
    }
    return {name: make_set(store, tmp_path, name, *each) for name, each in texts.items()}


def apart(store: Store, sets: dict[str, ProblemSet], **rules: Any) -> dict[str, ProblemSet]:
    return keep_apart(store, sets, OverlapRules(**{"max_dropped": 0.1, **rules}))


def test_train_gives_way_to_all_and_dev_to_test(store: Store, sets: dict[str, ProblemSet]) -> None:
    kept = apart(store, sets)
    assert set(sets["train"].by_id()) - set(kept["train"].by_id()) == {
        "train-0",
        "train-1",
        "train-2",
    }
    assert set(sets["dev"].by_id()) - set(kept["dev"].by_id()) == {"dev-1"}
    assert list(kept["train"].artifact.rows(type(kept["train"].problems[0]))) == list(
        kept["train"].problems
    )


def test_what_was_dropped_is_counted_and_listed_in_the_sets_artifact(
    store: Store, sets: dict[str, ProblemSet]
) -> None:
    overlap = apart(store, sets)["train"].overlap
    assert overlap is not None
    assert (overlap["problems"], overlap["of"], overlap["shared"]) == (37, 40, 3)
    assert overlap["by"] == {"dev": 1, "test": 1, "guard": 1}
    assert overlap["overlaps"][1] == {
        "problem_id": "train-1",
        "held_by": "test",
        "other_id": "test-0",
        "kind": "text",
        "share": 1.0,
    }


def test_a_set_that_shares_nothing_stays_the_artifact_it_was(
    store: Store, sets: dict[str, ProblemSet]
) -> None:
    kept = apart(store, sets)
    assert kept["test"] is sets["test"]
    assert kept["guard"] is sets["guard"]
    alone = {name: sets[name] for name in ("guard", "test")}
    assert apart(store, {**alone, "train": sets["guard"], "dev": sets["test"]}, on_overlap="allow")
    assert sets["test"].overlap is None


def test_sets_of_the_same_content_are_compared_once(
    store: Store, sets: dict[str, ProblemSet]
) -> None:
    first, again = apart(store, sets), apart(store, sets)
    assert first["train"].artifact.identity == again["train"].artifact.identity
    assert first["train"].fingerprint != sets["train"].fingerprint


def test_allow_keeps_the_problems_and_lists_them_all_the_same(
    store: Store, sets: dict[str, ProblemSet]
) -> None:
    kept = apart(store, sets, on_overlap="allow", max_dropped=0.0)["train"]
    assert kept.problems == sets["train"].problems
    assert kept.fingerprint == sets["train"].fingerprint
    assert kept.overlap is not None
    assert (kept.overlap["on_overlap"], kept.overlap["problems"]) == ("allow", 40)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (
            {"on_overlap": "stop"},
            r"train shares 3 of its 40 problems \(7.5%\) with dev, test, guard",
        ),
        ({"on_overlap": "stop"}, r"train-0 ~ dev dev-0 \(text, 1.00\)"),
        ({"on_overlap": "stop"}, 'problems.on_overlap="drop" does it'),
        ({"max_dropped": 0.05}, r"problems.max_dropped=0.05"),
    ],
)
def test_sets_that_share_too_much_are_refused_with_the_pairs(
    store: Store, sets: dict[str, ProblemSet], rules: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        apart(store, sets, **rules)


def test_a_set_of_which_nothing_would_be_left_is_refused(
    store: Store, sets: dict[str, ProblemSet]
) -> None:
    with pytest.raises(InputError, match=r"100\.0%"):
        apart(store, {**sets, "dev": sets["train"]}, max_dropped=1.0)
