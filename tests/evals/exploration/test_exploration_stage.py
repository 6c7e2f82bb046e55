"""The stage on small hand-made artifacts, on the filter stage's own, and on real completions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from evals.exploration import stage
from evals.exploration.config import ExplorationConfig
from evals.exploration.monitor import ExplorationRow
from filters import stage as filter_stage
from filters.config import FilterConfig
from flows.reports.exploration import exploration_line, shown_exploration
from ratchet.problems.grading import GradingRules
from ratchet.records import Completion, Verdict
from ratchet.store.artifacts import Artifact, Store
from ratchet.store.identity import ArtifactSpec
from ratchet.verifier.grader import Grader
from tests.helpers.judged import make_completion, make_problem, make_verdicts

CONFIG = ExplorationConfig()
ORM = {"kind": "orm", "name": None, "mode": "require"}
Group = Sequence[tuple[str, float | None]]
"""Texts with the outcome filter's rewards."""


class Lab:
    """A store, and artifacts in it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "store")

    def write(
        self, name: str, parts: Sequence[Sequence[Any]], kind: type[Any], **settings: Any
    ) -> Artifact:
        def make(out: Any) -> dict[str, Any]:
            for index, rows in enumerate(parts):
                out.write_part(index, rows, kind)
            return {}

        spec = ArtifactSpec(stage=name, version=1, settings=settings)
        return self.store.build(spec, make)[0]

    def judged(
        self, parts: Sequence[Mapping[str, Group]], tag: str = "", **more: Any
    ) -> tuple[Artifact, Artifact]:
        """Completions and verdicts of an outcome filter, part by part."""
        completions = [
            [
                make_completion(text, at, name, **more)
                for name, group in part.items()
                for at, (text, _) in enumerate(group)
            ]
            for part in parts
        ]
        verdicts = [
            [
                verdict
                for name, group in part.items()
                for verdict in make_verdicts([reward for _, reward in group], name)
            ]
            for part in parts
        ]
        return (
            self.write("sample", completions, Completion, tag=tag),
            self.write("filter", verdicts, Verdict, tag=tag, filters=[ORM]),
        )

    def explored(
        self,
        judged: tuple[Artifact, Artifact],
        base: Artifact | None = None,
        iteration: int = 0,
        wanted: int = 2,
    ) -> Artifact:
        inputs = stage.ExplorationInputs(
            completions=judged[0],
            verdicts=judged[1],
            base=base,
            iteration=iteration,
            wanted_per_problem=wanted,
        )
        spec = stage.spec(CONFIG, inputs)
        return self.store.build(spec, lambda out: stage.run(CONFIG, inputs, out))[0]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


TWO_PARTS: list[dict[str, Group]] = [
    {
        "a": [("2+2=4 so 4", 1.0), ("2+2=4  so 4", 1.0), ("it is 5", 0.0), ("4", None)],
        "b": [("?", 0.0)] * 4,
    },
    {"c": [("1+1=2", 1.0), ("1+1=2, 2+0=2", 1.0), ("3", 0.0), ("2", 1.0)]},
]


def test_a_row_for_each_problem_part_by_part(lab: Lab) -> None:
    artifact = lab.explored(lab.judged(TWO_PARTS))
    parts = list(artifact.iter_parts(ExplorationRow))
    assert [[row.problem_id for row in part] for part in parts] == [["a", "b"], ["c"]]
    assert parts[0][0] == ExplorationRow(
        problem_id="a", drawn=4, scored=3, correct=2, unique=1, accepted=2, accepted_unique=1,
        equations=2, distinct=1,
    )  # fmt: skip
    assert parts[1][0].unique == 3


def test_the_figures_are_those_of_the_rows(lab: Lab) -> None:
    shown = lab.explored(lab.judged(TWO_PARTS)).metrics
    assert (shown["problems"], shown["solved"], shown["unscored"]) == (3, 2, 1)
    assert (shown["equations"], shown["distinct_equations"]) == (5, 3)
    assert shown["unique_per_solved"] == 2.0
    # a: 1 of 2 wanted, half of what was accepted; c: 3 different of 3 accepted.
    assert shown["balance"] == pytest.approx((0.25 + 0 + 1) / 3)
    assert shown["pass_at_k"]["1"]["mean"] == pytest.approx((2 / 3 + 0 + 3 / 4) / 3)
    assert (shown["pass_at_k"]["4"]["mean"], shown["pass_at_k"]["4"]["n"]) == (0.5, 2)
    assert shown["base"] is None


def test_what_the_engine_did_not_make_is_no_completion(lab: Lab) -> None:
    failed = [make_completion("", at, "p", finish_reason="error", num_tokens=0) for at in range(2)]
    made = [make_completion("one two", 2, "p"), make_completion("one two three four", 3, "p")]
    completions = lab.write("sample", [[*failed, *made]], Completion)
    verdicts = make_verdicts([None, None, 1.0, 0.0])
    judged = completions, lab.write("filter", [verdicts], Verdict, filters=[ORM])
    artifact = lab.explored(judged)
    (row,) = artifact.rows(ExplorationRow)
    assert (row.drawn, row.scored, row.correct) == (2, 2, 1)
    assert artifact.metrics["mean_tokens"] == 3.0


def test_entropy_is_the_mean_over_tokens_that_have_a_logprob(lab: Lab) -> None:
    completions = [
        make_completion("a b c", 0, logprob=-1.5),
        make_completion("a", 1, logprob=-0.5),
        make_completion("a b c d", 2, logprob=None),
    ]
    sampled = lab.write("sample", [completions], Completion)
    verdicts = make_verdicts([1.0, 0.0, 1.0])
    shown = lab.explored((sampled, lab.write("filter", [verdicts], Verdict, filters=[ORM]))).metrics
    assert shown["nats_per_token"] == pytest.approx(2.0 / 4)
    assert shown["mean_tokens"] == pytest.approx(8 / 3)
    assert shown["temperatures"] == [1.0]


def test_an_engine_without_logprobs_or_token_counts_says_nothing_of_them(lab: Lab) -> None:
    shown = lab.explored(lab.judged(TWO_PARTS, num_tokens=0)).metrics
    assert (shown["nats_per_token"], shown["mean_tokens"]) == (None, None)


def test_a_later_policy_is_held_against_the_bases_samples(lab: Lab) -> None:
    names = [f"p{i}" for i in range(60)]
    wide: dict[str, Group] = {n: [("4", 1.0), ("5", 0.0), ("6", 0.0), ("7", 0.0)] for n in names}
    sharp: dict[str, Group] = {
        name: [("4", 1.0)] * 4 if at % 2 else [("5", 0.0)] * 4 for at, name in enumerate(names)
    }
    base = lab.explored(lab.judged([wide], "base"))
    shown = lab.explored(lab.judged([sharp], "later"), base, iteration=1).metrics
    assert shown["base"]["k"] == 4
    assert (shown["base"]["own"]["mean"], shown["base"]["base"]["mean"]) == (0.5, 1.0)
    assert shown["base"]["difference"]["high"] < 0
    assert shown["base"]["pass_at_k"]["1"]["mean"] == 0.25
    assert shown["pass_at_k"]["1"]["mean"] == 0.5


def test_another_base_makes_another_artifact(lab: Lab) -> None:
    judged = lab.judged(TWO_PARTS)
    alone = lab.explored(judged)
    assert lab.explored(judged, base=alone).identity != alone.identity
    assert lab.explored(judged, wanted=3).identity != alone.identity
    assert lab.explored(judged).identity == alone.identity


def test_verdicts_of_another_number_of_parts_are_refused(lab: Lab) -> None:
    completions, _ = lab.judged(TWO_PARTS)
    _, verdicts = lab.judged(TWO_PARTS[:1], "short")
    with pytest.raises(ValueError, match="zip"):
        lab.explored((completions, verdicts))


def filtered(lab: Lab, texts: Sequence[str], filters: list[dict[str, Any]]) -> Artifact:
    """The figures on one problem whose answer is 4, judged by the filter stage itself."""
    completions = lab.write(
        "sample", [[make_completion(text, at) for at, text in enumerate(texts)]], Completion
    )
    configs: Any = TypeAdapter(tuple[FilterConfig, ...]).validate_python(filters)
    with Grader(workers=1) as grader:
        inputs = filter_stage.FilterInputs(
            completions=completions,
            problems={"p": make_problem(answer="4")},
            problems_fingerprint="f",
            rules=GradingRules(),
            grader=grader,
            processes=1,
        )
        spec = filter_stage.spec(configs, inputs)
        verdicts, _ = lab.store.build(spec, lambda out: filter_stage.run(configs, inputs, out))
    return lab.explored((completions, verdicts))


TEXTS = [r"2+2=4, \boxed{4}", r"short \boxed{4}", r"2+2=4,  \boxed{4}", r"so \boxed{5}"]


def test_right_is_what_the_outcome_filter_says_under_any_name(lab: Lab) -> None:
    """Accepted is what all required filters say; one that only marks has no part in it."""
    filters = [
        {"kind": "orm", "name": "answer", "mode": "mark"},
        {"kind": "length", "unit": "chars", "min": 12},
        {"kind": "diversity", "mode": "mark"},
    ]
    (row,) = filtered(lab, TEXTS, filters).rows(ExplorationRow)
    fits = [text for text in TEXTS if len(text) >= 12]
    assert (row.correct, row.unique) == (3, 2)
    assert row.accepted == len(fits)
    assert row.accepted_unique == len({" ".join(t.split()) for t in fits if "{4}" in t})


def test_without_an_outcome_filter_nothing_is_known_to_be_right(lab: Lab) -> None:
    shown = filtered(lab, TEXTS, [{"kind": "format"}]).metrics
    assert (shown["problems"], shown["left_out"], shown["coverage"]) == (0, 1, None)
    assert exploration_line(shown_exploration(shown)) == "explore: 0 of 0 solved"


def test_real_completions_are_counted_as_by_hand(lab: Lab, shared_data: Path) -> None:
    """Three samples of each of 50 MATH problems, with the labels that came with them."""
    path = shared_data / "nemo_skills_50x3.parquet"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    groups: dict[str, list[tuple[str, float | None]]] = defaultdict(list)
    for row in pq.read_table(path).to_pylist():
        groups[row["question_id"]].append((row["completion"], float(row["upstream_correct"])))
    names = list(groups)
    parts = [{n: groups[n] for n in names[at : at + 20]} for at in range(0, len(names), 20)]
    shown = lab.explored(lab.judged(parts)).metrics

    right = {n: [text for text, reward in group if reward] for n, group in groups.items()}
    unique = {n: {" ".join(text.split()) for text in texts} for n, texts in right.items()}
    solved = [name for name in names if right[name]]
    assert (shown["problems"], shown["correct"]) == (50, 107)
    assert (shown["solved"], shown["coverage"]) == (len(solved), len(solved) / 50)
    assert shown["unique_per_problem"] == pytest.approx(sum(map(len, unique.values())) / 50)
    assert shown["unique_per_solved"] == pytest.approx(
        sum(len(unique[name]) for name in solved) / len(solved)
    )
    assert list(shown["pass_at_k"]) == ["1", "2", "3"]
    assert shown["pass_at_k"]["1"]["mean"] == pytest.approx(107 / 150)
    assert shown["pass_at_k"]["3"]["mean"] == pytest.approx(len(solved) / 50)
    two = sum(1.0 if len(t) > 1 else 2 / 3 if t else 0.0 for t in right.values()) / 50
    assert shown["pass_at_k"]["2"]["mean"] == pytest.approx(two)
    # All that is accepted is right, and two rows of a problem are wanted.
    balance = sum(min(len(u) / 2, 1) * len(u) / len(right[n]) for n, u in unique.items() if u) / 50
    assert shown["balance"] == pytest.approx(balance)
    assert 0 < shown["distinct_equations"] < shown["equations"]
