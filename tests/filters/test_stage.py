import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError

import ratchet.verifier.grader as grading
from filters import stage
from filters.base import FilterContext
from filters.build import settings_of
from filters.config import FilterConfig, check_filters
from filters.kinds.custom import CustomConfig, load_custom
from filters.selection import stage as select_stage
from filters.selection.config import SelectionConfig, SftSelection
from ratchet.errors import InputError
from ratchet.problems.grading import GradingRules
from ratchet.records import Completion, Problem, Verdict, from_table
from ratchet.store.artifacts import Artifact, Store, Workspace
from ratchet.store.identity import ArtifactSpec
from ratchet.verifier.grade_file import write_grades
from ratchet.verifier.grader import AnswerRules, Grader
from ratchet.verifier.grades import Grade
from tests.helpers.judged import make_completion

FILTERS = TypeAdapter(tuple[FilterConfig, ...])
SELECTION: TypeAdapter[Any] = TypeAdapter(SelectionConfig)
EVERY = [
    {"kind": "orm"},
    {"kind": "format"},
    {"kind": "length", "max": 30, "outliers": "set"},
    {"kind": "repetition", "mode": "mark"},
    {"kind": "arithmetic"},
    {"kind": "difficulty", "max_pass_rate": 0.8},
    {"kind": "diversity", "by": "text", "scope": "set"},
]


def problems(count: int) -> dict[str, Problem]:
    return {
        f"p{i}": Problem(
            problem_id=f"p{i}", problem=f"What is {i} + 1?", reference_answer=str(i + 1)
        )
        for i in range(count)
    }


def texts(index: int) -> list[str]:
    """Right, the same again, wrong, wrong by a false step, endless, empty."""
    return [
        f"{index} + 1 = {index + 1}. So \\boxed{{{index + 1}}}",
        f"{index} + 1 =  {index + 1}. So \\boxed{{{index + 1}}}",
        f"So \\boxed{{{index + 5}}}",
        f"{index} + 1 = {index + 9}. So \\boxed{{{index + 1}}}",
        "and so on " * 20 + f"\\boxed{{{index + 1}}}",
        "",
    ]


class World:
    """Completions of a few problems in a store, and the stages on them."""

    def __init__(self, folder: Path, count: int = 12, per_part: int = 4) -> None:
        self.store = Store(folder / "store")
        self.problems = problems(count)
        self.completions = self._sampled(per_part)

    def _sampled(self, per_part: int) -> Artifact:
        groups = [
            [make_completion(text, at, name) for at, text in enumerate(texts(index))]
            for index, name in enumerate(self.problems)
        ]

        def make(out: Any) -> dict[str, Any]:
            for part, start in enumerate(range(0, len(groups), per_part)):
                rows = [row for group in groups[start : start + per_part] for row in group]
                out.write_part(part, rows, Completion)
            return {}

        spec = ArtifactSpec(stage="sample", version=1, settings={"n": len(groups)})
        return self.store.build(spec, make)[0]

    def inputs(self, grader: Grader, processes: int = 1) -> stage.FilterInputs:
        return stage.FilterInputs(
            completions=self.completions,
            problems=self.problems,
            problems_fingerprint="f",
            rules=GradingRules(),
            grader=grader,
            processes=processes,
        )

    def judged(self, filters: list[dict[str, Any]], processes: int = 1) -> Artifact:
        configs = FILTERS.validate_python(filters)
        with Grader(workers=1) as grader:
            inputs = self.inputs(grader, processes)
            spec = stage.spec(configs, inputs).redone(processes)
            return self.store.build(spec, lambda out: stage.run(configs, inputs, out))[0]

    def selected(self, filters: list[dict[str, Any]], settings: dict[str, Any]) -> Artifact:
        config = SELECTION.validate_python(settings)
        inputs = select_stage.SelectInputs(
            completions=self.completions,
            verdicts=self.judged(filters),
            filters=FILTERS.validate_python(filters),
            problems=self.problems,
            problems_fingerprint="f",
            seed=0,
        )
        spec = select_stage.spec(config, inputs)
        return self.store.build(spec, lambda out: select_stage.run(config, inputs, out))[0]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_every_completion_has_every_filters_verdict_and_the_funnel_names_each(
    world: World,
) -> None:
    artifact = world.judged(EVERY)
    verdicts = list(artifact.rows(Verdict))
    sampled = world.completions.manifest.rows
    assert len(verdicts) == sampled * len(EVERY)
    assert [v.filter for v in verdicts[: len(EVERY)]] == [rule["kind"] for rule in EVERY]
    funnel = artifact.metrics["funnel"]
    lost = sum(sum(s["lost"].values()) for s in funnel if s["mode"] == "require")
    assert lost + artifact.metrics["accepted"] == sampled
    for name, counts in artifact.metrics["reasons"].items():
        assert counts == Counter(v.reason for v in verdicts if v.filter == name)
    assert artifact.metrics["accepted"] == len(world.problems)
    assert artifact.metrics["reasons"]["arithmetic"]["wrong_equation"] == len(world.problems)
    assert artifact.metrics["reasons"]["diversity"]["duplicate_text"] == len(world.problems)


def test_many_processes_come_to_the_same_verdicts_as_one(world: World) -> None:
    alone, crew = world.judged(EVERY), world.judged(EVERY, processes=2)
    assert list(alone.rows(Verdict)) == list(crew.rows(Verdict))
    assert alone.metrics == crew.metrics
    assert alone.identity != crew.identity


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The completions that were read for their answer."""
    seen: list[str] = []
    extract = grading.extract_answer

    def extracting(text: str, *more: Any) -> Any:
        seen.append(text)
        return extract(text, *more)

    monkeypatch.setattr(grading, "extract_answer", extracting)
    return seen


def keep_grades(world: World, rules: GradingRules, parts: int, reason: str | None = None) -> None:
    """As sampling does; with `reason`, the grader failed by it on each part's first completion."""
    artifact, key = world.completions, rules.key("f")
    folder = Workspace(artifact.path, ArtifactSpec(stage="sample", version=1, settings={}))
    with Grader(workers=1) as grader:
        for part in artifact.manifest.parts[:parts]:
            rows = from_table(pq.read_table(artifact.path / part.file), Completion)
            grades = [
                rules.grade(grader, world.problems[r.problem_id], r.completion, r.finish_reason)
                for r in rows
            ]
            if reason:
                grades[0] = Grade(None, None, reason)
            write_grades(folder, part, grades, key)


def test_what_was_graded_beside_sampling_is_not_graded_again(world: World, read: list[str]) -> None:
    """Also by another process, after a restart: the grades lie beside their shard."""
    alone = world.judged([{"kind": "orm"}])
    keep_grades(world, GradingRules(), parts=2)
    read.clear()
    made = world.judged([{"kind": "orm"}], processes=9)
    last = list(world.completions.iter_parts(Completion))[-1]
    assert read == [completion.completion for completion in last]
    assert made.fingerprint == alone.fingerprint
    assert made.metrics == alone.metrics


@pytest.mark.parametrize("reason", ["timeout", "memory", "grader_error"])
def test_where_the_grader_failed_beside_sampling_it_is_asked_again(
    world: World, read: list[str], reason: str
) -> None:
    alone = world.judged([{"kind": "orm"}])
    keep_grades(world, GradingRules(), parts=3, reason=reason)
    read.clear()
    made = world.judged([{"kind": "orm"}], processes=9)
    assert len(read) == 3 * len(texts(0)), "the first group of each part"
    assert made.fingerprint == alone.fingerprint


@pytest.mark.parametrize(
    "rules",
    [
        GradingRules(answer_format="boxed"),
        GradingRules(policy=AnswerRules(unevaluated="accept")),
    ],
)
def test_grades_by_other_rules_are_not_taken(
    world: World, read: list[str], rules: GradingRules
) -> None:
    keep_grades(world, rules, parts=3)
    read.clear()
    world.judged([{"kind": "orm"}])
    assert len(read) == world.completions.manifest.rows


CUSTOM = """
from pathlib import Path
from filters.base import Mark


def loose(**settings):
    Path("was_called").touch()


class Odd:
    def __init__(self, word):
        self.word = word

    def mark(self, problem, completion):
        if not completion.completion:
            raise KeyError("empty")
        return Mark(self.word in completion.completion, "has_word", 1.0)
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_filters.py").write_text(CUSTOM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_filters", raising=False)
    return "my_filters:Odd"


def test_a_users_filter_works_and_its_errors_are_rows_up_to_a_share(
    world: World, own_module: str
) -> None:
    custom = {"kind": "custom", "path": own_module, "settings": {"word": "So"}}
    artifact = world.judged([{"kind": "orm"}, {**custom, "max_error_share": 0.2}])
    failed = [v for v in artifact.rows(Verdict) if v.reason == "filter_error"]
    assert len(failed) == len(world.problems)
    assert {v.note for v in failed} == {"KeyError: 'empty'"}
    with pytest.raises(RuntimeError, match=r"filter 'custom' raised on .*max_error_share=0.1"):
        world.judged([{"kind": "orm"}, {**custom, "max_error_share": 0.1}])


@pytest.mark.parametrize(
    ("path", "settings", "message"),
    [
        ("my_filters:Even", {}, "AttributeError"),
        ("no_such_module:Even", {}, "ModuleNotFoundError"),
        ("my_filters:Odd", {}, "when built with settings"),
        ("my_filters:loose", {}, "is no class with a method mark"),
        ("my_filters:Path", {}, "is not defined in my_filters, but in pathlib"),
        ("json:JSONDecoder", {}, "json is Python's own library"),
    ],
)
def test_a_users_filter_that_cannot_be_built_is_named_with_its_path(
    world: World, own_module: str, path: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        world.judged([{"kind": "orm"}, {"kind": "custom", "path": path, "settings": settings}])
    assert path in str(caught.value)
    assert not Path("was_called").exists()


def test_nothing_that_is_no_filter_is_called(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    settings = {"path": str(folder)}
    with pytest.raises(InputError, match="shutil is Python's own library"):
        world.judged([{"kind": "custom", "path": "shutil:rmtree", "settings": settings}])
    assert folder.is_dir()


def test_a_users_filter_is_found_again_from_another_folder(
    own_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CustomConfig(path=own_module, settings={"word": "So"})
    source = settings_of(config)
    monkeypatch.setattr(sys, "path", sys.path[1:])
    monkeypatch.delitem(sys.modules, "my_filters", raising=False)
    monkeypatch.chdir("/")
    stored = CustomConfig.model_validate_json(config.model_dump_json())
    assert stored.found_in == str(tmp_path)
    assert settings_of(stored) == source
    load_custom(stored, FilterContext(problems={}))


def test_other_code_behind_the_same_path_is_another_filter(
    world: World, own_module: str, tmp_path: Path
) -> None:
    configs = FILTERS.validate_python([{"kind": "custom", "path": own_module}])
    with Grader(workers=1) as grader:
        before = stage.spec(configs, world.inputs(grader)).identity
        (tmp_path / "my_filters.py").write_text(CUSTOM + "# changed\n")
        assert stage.spec(configs, world.inputs(grader)).identity != before


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ([{"kind": "orm"}, {"kind": "orm"}], "share the names"),
        ([{"kind": "orm", "mode": "mark"}], "require at least one"),
        (
            [{"kind": "difficulty", "max_pass_rate": 0.8}, {"kind": "orm"}],
            "is not before it",
        ),
        (
            [{"kind": "diversity", "by": "text", "scope": "set"}, {"kind": "orm"}],
            "must be the last filter",
        ),
    ],
)
def test_lists_of_filters_that_cannot_work_are_refused(
    filters: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_filters(FILTERS.validate_python(filters))


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="'repetition'"):
        FILTERS.validate_python([{"kind": "repetitive"}])


def test_a_selection_names_a_filter_that_is_there() -> None:
    with pytest.raises(ValueError, match="none of the run's filters"):
        select_stage.check_selection(
            SftSelection(order="best", reward="prm"), FILTERS.validate_python([{"kind": "orm"}])
        )


def test_sft_rows_and_fates_account_for_every_completion(world: World) -> None:
    artifact = world.selected([{"kind": "orm"}], {"max_per_problem": 2})
    metrics = artifact.metrics
    assert sum(metrics["fates"].values()) == world.completions.manifest.rows
    # Of six, two are wrong and two are the same: three distinct texts, of which two are taken.
    assert metrics["fates"] == {
        "rejected": 2 * len(world.problems),
        "duplicate": len(world.problems),
        "over_cap": len(world.problems),
        "selected": 2 * len(world.problems),
    }
    assert artifact.manifest.rows == metrics["rows"] == 2 * len(world.problems)


def test_a_budget_holds_over_all_parts(world: World) -> None:
    for balance in ("none", "uniform", "prop2diff"):
        settings = {"balance": balance, "max_rows": 7, "max_per_problem": 3}
        artifact = world.selected([{"kind": "orm"}], settings)
        rows = list(artifact.rows(select_stage.row_type(SftSelection())))
        assert len(rows) == artifact.metrics["rows"] <= 7
        if balance == "uniform":
            assert len({row.problem_id for row in rows}) == 7


def test_dpo_and_grpo_rows_come_from_the_same_verdicts(world: World) -> None:
    pairs = world.selected([{"kind": "orm"}], {"kind": "dpo", "pairs_per_problem": 2})
    # One wrong completion of each problem has a text; it is used once.
    assert pairs.metrics["rows"] == len(world.problems)
    assert pairs.metrics["groups"] == {"paired": len(world.problems)}
    drawn = world.selected([{"kind": "orm"}], {"kind": "grpo", "max_rows": 5})
    assert drawn.metrics["groups"] == {"in_band": 5, "over_cap": len(world.problems) - 5}
    assert json.dumps(drawn.metrics)


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
def test_trainers_are_told_how_long_some_prompts_were(world: World, kind: str) -> None:
    artifact = world.selected([{"kind": "orm"}], {"kind": kind})
    config: SelectionConfig = SELECTION.validate_python({"kind": kind})
    told = artifact.metrics["prompt_tokens"]
    assert len(told) == 8
    assert set(told) <= {row.problem_id for row in artifact.rows(select_stage.row_type(config))}
    assert set(told.values()) == {1}


def test_what_the_engine_failed_on_is_graded_and_judged_by_none(world: World) -> None:
    group = [
        make_completion("", 0, "p0", finish_reason="error", error="prompt_too_long"),
        make_completion("So \\boxed{1}", 1, "p0"),
    ]
    world.completions = world.store.build(
        ArtifactSpec(stage="sample", version=1, settings={"engine": "failed"}),
        lambda out: _written(out, group),
    )[0]
    artifact = world.judged([{"kind": "orm"}, {"kind": "format"}])
    assert [verdict.reason for verdict in artifact.rows(Verdict)][:2] == ["prompt_too_long"] * 2
    assert artifact.metrics["accepted"] == 1
    assert sum(artifact.metrics["tiers"].values()) == 1


NASTY = [
    "",
    " \n\t ",
    "\x00\x01\x02",
    "א ועוד ב שווה ג \u202e 3 = 2 + 1",
    "\ufffd\U0010ffff" * 50,
    "ab " * 300_000,
    "<think>" * 5_000,
    "\\frac{1}{" * 2_000,
    "1+" * 50_000 + "1 = 2",
    "((((((((((" * 5_000,
]


@pytest.mark.parametrize("group_size", [1, 512])
def test_nasty_completions_are_judged_in_groups_of_any_size(
    tmp_path: Path, group_size: int
) -> None:
    every = [
        *EVERY[:-1],
        {"kind": "format", "name": "shape", "think": True, "min_reasoning_chars": 5},
        {"kind": "language", "language": "en"},
        {"kind": "diversity", "name": "near", "by": "near"},
        {"kind": "diversity", "name": "paths", "by": "equations"},
    ]
    long = [text for text in NASTY if len(text) > 10_000]
    short = [text for text in NASTY if len(text) <= 10_000]
    # In the large group the longest ones stand once each, the rest again and again.
    group = [*NASTY, *(short * group_size)][:group_size] if group_size > 1 else long[:1]
    world = World(tmp_path, 1)
    world.completions = world.store.build(
        ArtifactSpec(stage="sample", version=1, settings={"nasty": group_size}),
        lambda out: _written(out, [make_completion(t, at, "p0") for at, t in enumerate(group)]),
    )[0]
    metrics = world.judged(every).metrics
    assert metrics["completions"] == group_size
    assert not any("filter_error" in counts for counts in metrics["reasons"].values())
    assert all(sum(counts.values()) == group_size for counts in metrics["reasons"].values())


def _written(out: Any, completions: list[Completion]) -> dict[str, Any]:
    out.write_part(0, completions, Completion)
    return {}
