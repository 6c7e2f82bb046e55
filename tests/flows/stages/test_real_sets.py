"""Contests on real MATH and GSM8K: what a guard refuses, and what nobody could grade."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from flows.preflight import problem_sets
from flows.session import Session
from flows.stages import deciding, evaluating, testing
from flows.stages.inputs import LoadedSets
from ratchet.store.artifacts import Artifact
from tests.helpers.contests import Contests, policy, rows_of

BASE, CANDIDATE = -1, 0
WRONG = r"So it is \boxed{-7654321}."
ENDLESS = r"So it is \boxed{\int \sin(x^2) e^{x^3} dx}."


def settings(shared_data: Path) -> tuple[str, ...]:
    """MATH decides, GSM8K guards."""
    math, gsm8k = shared_data / "math_test.parquet", shared_data / "gsm8k_test.parquet"
    guard = f'{{kind="gsm8k", path="{gsm8k}", split="test", limit=400}}'
    return (
        f'problems.dev={{kind="math", path="{math}", split="test", shuffle_seed=1, limit=200}}',
        f'guards=[{{name="gsm8k", problems={guard}}}]',
    )


def decided(contests: Contests, session: Session, sets: LoadedSets) -> Artifact:
    side = evaluating.ContestSide(policy(BASE), "incumbent")
    base = evaluating.look(session, None, side, 0, sets["dev"])
    contest = deciding.contest_of(0, base, policy(BASE), policy(CANDIDATE))
    return deciding.against_incumbent(session, contest, sets)


def record(
    contests: Contests, sets: LoadedSets, name: str, shares: dict[int, float]
) -> None:
    problems = list(sets[name].problems)
    for iteration, share in shares.items():
        contests.record(rows_of(problems, iteration, share, WRONG))


def test_a_candidate_that_gains_on_math_and_falls_on_gsm8k_is_refused_in_words(
    tmp_path: Path, shared_data: Path
) -> None:
    contests = Contests(tmp_path, {})
    contests.recording.touch()
    with contests.session(*settings(shared_data)) as (session, sets):
        record(contests, sets, "dev", {BASE: 0.3, CANDIDATE: 0.5})
        record(contests, sets, "gsm8k", {BASE: 0.8, CANDIDATE: 0.7})
        told = decided(contests, session, sets).metrics
    assert told["difference"] > 0.1
    assert told["p"] < told["level"]
    assert (told["promoted"], told["verdict"]) == (False, "kept")
    assert told["guards"]["gsm8k"]["verdict"] == "refused"
    assert "gsm8k" in told["reason"]


def test_a_candidate_that_keeps_gsm8k_is_promoted(tmp_path: Path, shared_data: Path) -> None:
    contests = Contests(tmp_path, {})
    contests.recording.touch()
    with contests.session(*settings(shared_data)) as (session, sets):
        record(contests, sets, "dev", {BASE: 0.3, CANDIDATE: 0.5})
        record(contests, sets, "gsm8k", {BASE: 0.8, CANDIDATE: 0.8})
        told = decided(contests, session, sets).metrics
    assert (told["promoted"], told["guards"]["gsm8k"]["verdict"]) == (True, "passed")


def late(problems: list[Any], count: int) -> Iterator[dict[str, Any]]:
    """Completions whose answers take the grader longer than it has."""
    yield from rows_of(problems[:count], CANDIDATE, 0.0, ENDLESS)
    yield from rows_of(problems[count:], CANDIDATE, 0.9, WRONG)


def test_a_candidate_whose_answers_time_out_is_not_promoted(
    tmp_path: Path, shared_data: Path
) -> None:
    """Far better where it can be graded; 1.5 % of its completions can't be."""
    contests = Contests(tmp_path, {})
    contests.recording.touch()
    dev = settings(shared_data)[0]
    with contests.session(dev) as (session, sets):
        symbolic = [p for p in sets["dev"].problems if "sqrt" in p.reference_answer]
        others = [p for p in sets["dev"].problems if p not in symbolic]
        contests.record(rows_of([*symbolic, *others], BASE, 0.3, WRONG))
        contests.record(late([*symbolic, *others], 3))
        told = decided(contests, session, sets).metrics
    assert told["unscored_candidate"] >= 6
    assert told["promoted"] is False
    assert "could not be graded" in told["reason"]


def planted(shared_data: Path, folder: Path) -> Path:
    """100 problems of GSM8K's train split, and 3 of its test split in other spacing."""
    train = pq.read_table(shared_data / "gsm8k_train.parquet").slice(0, 100)
    test = pq.read_table(shared_data / "gsm8k_test.parquet").slice(0, 3)
    rows = [*train.to_pylist(), *test.to_pylist()]
    path = folder / "planted.jsonl"
    path.write_text(
        "".join(
            json.dumps({"question": row["question"].replace(" ", "  "), "answer": row["answer"]})
            + "\n"
            for row in rows
        )
    )
    return path


def test_planted_test_problems_leave_train_and_each_reading_of_test_is_counted(
    tmp_path: Path, shared_data: Path
) -> None:
    contests = Contests(tmp_path, {})
    contests.recording.touch()
    test = shared_data / "gsm8k_test.parquet"
    sets_of = (
        f'problems.train={{kind="gsm8k", path="{planted(shared_data, tmp_path)}"}}',
        f'problems.test={{kind="gsm8k", path="{test}", split="test", limit=60}}',
    )
    with contests.session(*sets_of) as (session, _):
        sets = problem_sets(session.config, session.store)
        assert len(sets["train"].problems) == 100
        assert sets["train"].overlap is not None
        assert sets["train"].overlap["shared"] == 3
        record(contests, sets, "test", {BASE: 0.3, CANDIDATE: 0.6})
        first = testing.read_test(session, policy(BASE), policy(CANDIDATE), sets)
        again = testing.read_test(session, policy(BASE), policy(CANDIDATE), sets)
        readings = session.run.spent.readings()
    assert again.identity == first.identity
    assert [each.number for each in readings if each.finished] == [1, 2]
    assert first.metrics["best_iteration"] == CANDIDATE
    assert first.metrics["sampled"]["difference"] > 0.1
    assert "on test" in first.metrics["sentence"]
