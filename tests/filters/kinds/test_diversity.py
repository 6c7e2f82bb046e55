import pickle
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.base import Group, GroupFilter, Mark, SetFilter
from filters.build import settings_of
from filters.kinds.diversity import DiversityConfig, GroupDiversity, SetDiversity, build_diversity
from filters.similarity.embeddings import Embedder, vector_repeats
from filters.similarity.near_duplicates import (
    ALL_PAIRS,
    MinHasher,
    NearIndex,
    band_rows,
    jaccard,
    near_repeats,
    shingles_of,
)
from filters.similarity.reasoning_paths import edit_distance, equation_repeats
from ratchet.config import parse_config
from ratchet.errors import InputError
from tests.helpers.judged import CONTEXT, make_group, make_problem
from tests.helpers.places import ROOT, SHARED_DATA
from tests.helpers.tiny_models import FOR_EMBEDDING, save_model

LONG = "First Tom counts the red pens and then he counts the blue pens, which makes 3 + 4 = 7 pens"


def group_of(*texts: str, standing: Sequence[bool] | None = None, problem_id: str = "p") -> Group:
    return make_group(texts, problem=make_problem(problem_id), standing=standing)


def marks_of(*texts: str, standing: Sequence[bool] | None = None, **settings: Any) -> list[Mark]:
    rule = build_diversity(DiversityConfig(**settings), CONTEXT)
    assert isinstance(rule, GroupDiversity)
    return rule.mark_group(group_of(*texts, standing=standing))


def reasons(marks: Sequence[Mark]) -> list[str]:
    return [mark.reason for mark in marks]


def mark_set(*groups: Group, **settings: Any) -> list[Mark]:
    rule = build_diversity(DiversityConfig(scope="set", **settings), CONTEXT)
    assert isinstance(rule, SetDiversity)
    return [mark for group in groups for mark in rule.mark_sketches(rule.sketch(group))]


def real_completions() -> list[str]:
    path = SHARED_DATA / "example_model_solutions.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    table = pq.read_table(path, columns=["question_id", "solution"]).sort_by("question_id")
    texts: list[str] = table.column("solution").to_pylist()
    return texts


def test_the_scope_decides_the_kind_of_filter() -> None:
    assert isinstance(build_diversity(DiversityConfig(), CONTEXT), GroupFilter)
    assert isinstance(build_diversity(DiversityConfig(scope="set"), CONTEXT), SetFilter)


def test_equal_texts_are_duplicates_whatever_their_case_and_spacing() -> None:
    marks = marks_of("3 + 4 = 7", "3 + 4 = 8", " 3 +\u00a04  = ７\n", "3 * 4 = 7")
    assert reasons(marks) == ["unique", "unique", "duplicate_text", "unique"]
    assert marks[2] == Mark(False, "duplicate_text", None, "attempt 0")


def test_only_what_still_stands_is_compared() -> None:
    marks = marks_of("a", "a", "a", standing=[False, True, True])
    assert reasons(marks) == ["unscored", "unique", "duplicate_text"]
    assert marks[0].accepted
    assert marks[2].note == "attempt 1"


@pytest.mark.parametrize("by", ["text", "equations", "near"])
@pytest.mark.parametrize("scope", ["group", "set"])
def test_groups_of_none_and_one_and_of_odd_texts_are_marked(by: Any, scope: Any) -> None:
    rule = build_diversity(DiversityConfig(by=by, scope=scope), CONTEXT)
    odd = ["", "\x00", "\ud800", "\u200f\u05d0", "e\u0301" * 300_000, "1+1=2;" * 5_000]
    for group in (group_of(), group_of(LONG), group_of(*odd, *odd)):
        if isinstance(rule, SetDiversity):
            marks = rule.mark_sketches(rule.sketch(group))
        else:
            marks = rule.mark_group(group)
        assert len(marks) == len(group.completions)
    assert [mark.accepted for mark in marks[6:]] == [False] * 6


def test_near_texts_are_duplicates_of_the_first() -> None:
    near = LONG.replace("First", "So")
    marks = marks_of("nothing alike in here", LONG, near, LONG.upper(), by="near", threshold=0.8)
    assert reasons(marks) == ["unique", "unique", "near_duplicate", "duplicate_text"]
    assert marks[2].note == "attempt 1"
    assert marks[2].reward == pytest.approx(18 / 20, abs=0.03)


def test_a_copy_of_a_near_duplicate_names_what_was_kept() -> None:
    near = LONG.replace("First", "So")
    assert [m.note for m in marks_of(LONG, near, near, by="near")] == [None] + ["attempt 0"] * 2


def test_the_path_farthest_from_the_others_is_kept_of_each_equation_list() -> None:
    texts = ["so 3 + 4 = 7 ok", "so we get 2 * 5 = 10 ok", "hence, dear reader, 3 + 4 = 7 it is"]
    marks = marks_of(*texts, "no equations", by="equations")
    assert reasons(marks) == ["duplicate_equations", "unique", "unique", "unscored"]
    assert marks[0].note == "attempt 2"
    assert marks[0].reward == edit_distance(texts[0].split(), texts[2].split())


def test_across_the_set_the_first_is_kept_and_named_by_its_problem() -> None:
    groups = [
        group_of(LONG, "other", problem_id="p1"),
        group_of(LONG, "OTHER", problem_id="p2"),
    ]
    marks = mark_set(*groups)
    assert reasons(marks) == ["unique", "unique", "duplicate_text", "duplicate_text"]
    assert [mark.note for mark in marks[2:]] == ["p1/0", "p1/1"]


def test_across_the_set_near_texts_and_equal_equations_are_found() -> None:
    near = LONG.replace("First", "So")
    groups = [group_of("x", LONG, problem_id="p1"), group_of(near, near, problem_id="p2")]
    marks = mark_set(*groups, by="near")
    assert reasons(marks[2:]) == ["near_duplicate"] * 2
    assert marks[2].note == marks[3].note == "p1/1"
    assert marks[2].reward == pytest.approx(0.9, abs=0.15)
    marks = mark_set(*groups, by="equations")
    assert reasons(marks) == ["unscored", "unique"] + ["duplicate_equations"] * 2
    assert marks[2].note == "p1/1"


def test_across_the_set_what_does_not_stand_is_not_compared() -> None:
    marks = mark_set(group_of("a", "a", standing=[False, True]))
    assert reasons(marks) == ["unscored", "unique"]


@pytest.mark.parametrize("by", ["text", "equations", "near"])
def test_sketches_are_small_and_the_same_in_every_process(by: Any) -> None:
    config = DiversityConfig(by=by, scope="set")
    code = (
        "import pickle, sys\n"
        "rule, group = pickle.loads(sys.stdin.buffer.read())\n"
        "sys.stdout.buffer.write(pickle.dumps(rule.sketch(group)))"
    )
    group, rule = group_of(LONG * 100, "3 * 4 = 12"), SetDiversity(config)
    answer = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps((rule, group)),
        capture_output=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
    )
    assert pickle.loads(answer.stdout) == rule.sketch(group)
    assert len(answer.stdout) < 1000


texts_alike = st.lists(st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join), max_size=10)


@settings(max_examples=200, deadline=None)
@given(texts_alike, st.sampled_from([0.3, 0.5, 0.8, 1.0]), st.booleans())
def test_near_keeps_no_two_duplicates_and_drops_none_without_a_kept_one(
    texts: list[str], threshold: float, is_large: bool
) -> None:
    sets = [shingles_of(text, 2) for text in texts * (1 + is_large * ALL_PAIRS)]
    repeats = near_repeats(sets, threshold)
    kept = [at for at, repeat in enumerate(repeats) if repeat is None]
    assert all(jaccard(sets[a], sets[b]) < threshold for a, b in combinations(kept, 2))
    for at, repeat in enumerate(repeats):
        before = [jaccard(sets[at], sets[row]) for row in kept if row < at]
        if repeat is not None:
            assert repeat.of in kept
            assert repeat.value == max(before) >= threshold


@settings(max_examples=100, deadline=None)
@given(
    texts_alike, st.sampled_from(["text", "equations", "near"]), st.sampled_from(["group", "set"])
)
def test_every_dropped_completion_names_a_kept_one(texts: list[str], by: Any, scope: Any) -> None:
    texts = [f"{text} 1 + {len(text) % 4} = {1 + len(text) % 4}" for text in texts]
    if scope == "group":
        marks = marks_of(*texts, by=by)
        assert marks == marks_of(*texts, by=by)
    else:
        marks = mark_set(group_of(*texts), by=by)
    for mark in marks:
        if mark.accepted:
            assert mark.note is None
        else:
            assert mark.note is not None
            assert marks[int(mark.note.replace("/", " ").split()[1])].accepted


@settings(max_examples=200, deadline=None)
@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_edit_distance_equals_the_table(a: str, b: str) -> None:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last = [i]
        for j, y in enumerate(b, 1):
            last.append(min(row[j] + 1, last[-1] + 1, row[j - 1] + (x != y)))
        row = last
    assert edit_distance(list(a), list(b)) == row[-1]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "s", "t", "u"]), st.text("ab ", max_size=9)), max_size=7
    )
)
def test_each_equation_list_keeps_one_path_and_the_farthest(rows: list[tuple[str, str]]) -> None:
    signatures, texts = [row[0] for row in rows], [row[1] for row in rows]
    repeats = equation_repeats(texts, signatures)
    kept = {s: at for at, (s, r) in enumerate(zip(signatures, repeats, strict=True)) if r is None}
    for name in filter(None, dict.fromkeys(signatures)):
        variants = [at for at, held in enumerate(signatures) if held == name]
        assert [at for at in variants if repeats[at] is None] == [kept[name]]
        assert all((r := repeats[at]) is None or r.of == kept[name] for at in variants)
    if (lists := list(filter(None, dict.fromkeys(signatures)))) and len(lists) == 2:
        last, other = lists[1], texts[kept[lists[0]]].split()
        variants = [at for at, held in enumerate(signatures) if held == last]
        far = max(edit_distance(texts[at].split(), other) for at in variants)
        assert edit_distance(texts[kept[last]].split(), other) == far


def test_minhash_estimates_the_similarity_and_its_index_finds_near_texts() -> None:
    rng = random.Random(5)
    hasher, found = MinHasher(64), 0
    for _ in range(100):
        words = [str(rng.randrange(10_000)) for _ in range(80)]
        other = words.copy()
        for at in rng.sample(range(80), 2):
            other[at] = "x"
        a, b = (shingles_of(" ".join(text), 3) for text in (words, other))
        index = NearIndex(0.7, 64)
        assert index.add(hasher.sketch(a)) is None
        repeat = index.add(hasher.sketch(b))
        if jaccard(a, b) > 0.8:
            found += repeat is not None
        if repeat is not None:
            assert repeat.value == pytest.approx(jaccard(a, b), abs=0.25)
    assert found >= 75
    assert 1 - (1 - 0.8 ** band_rows(0.8, 64)) ** (64 // band_rows(0.8, 64)) >= 0.98
    assert (band_rows(1.0, 64), band_rows(0.01, 16)) == (64, 1)


def test_of_a_large_group_all_near_texts_are_found_in_time() -> None:
    rng = random.Random(2)
    words = [f"w{n}" for n in range(60)]
    texts = []
    for _ in range(512):
        text = words.copy()
        for at in rng.sample(range(60), 12):
            text[at] = f"w{rng.randrange(1000)}"
        texts.append(" ".join(text) + f" 1 + {rng.randrange(99)} = 2")
    for by in ("text", "near", "equations"):
        started = time.process_time()
        marks = marks_of(*texts, by=by)
        assert time.process_time() - started < 3
        assert len(marks) == 512


@pytest.mark.parametrize("by", ["text", "near"])
def test_real_groups_of_eight_are_compared_fast(by: Any) -> None:
    texts = real_completions()
    groups = [group_of(*texts[at : at + 8]) for at in range(0, len(texts), 8)]
    rule = GroupDiversity(DiversityConfig(by=by))
    started = time.process_time()
    marks = [mark for group in groups for mark in rule.mark_group(group)]
    assert len(marks) / (time.process_time() - started) > 3000  # half of what it should do
    assert 0.5 < sum(mark.accepted for mark in marks) / len(marks) < 1


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"threshold": 0.5}, "no threshold"),
        ({"by": "embedding"}, "needs `model`"),
        ({"by": "near", "model": "m"}, "needs `model`"),
        ({"by": "embedding", "model": "m", "scope": "set"}, "every pair"),
        ({"by": "near", "threshold": 0}, "threshold"),
        ({"by": "sound"}, "by"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_config(DiversityConfig, tables, "here")


def test_a_missing_embedding_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        build_diversity(DiversityConfig(by="embedding", model=str(tmp_path)), CONTEXT)


def test_vectors_keep_the_first_and_name_the_nearest() -> None:
    angles = np.array([0.0, 90.0, 2.0, 88.0, 45.0]) * np.pi / 180
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    repeats = vector_repeats(vectors, 0.99)
    assert [repeat and repeat.of for repeat in repeats] == [None, None, 0, 1, None]
    assert repeats[2] is not None
    assert repeats[2].value == pytest.approx(np.cos(angles[2]), abs=1e-5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("bert"), FOR_EMBEDDING)


def test_an_embedding_model_is_known_by_its_content_wherever_it_lies(
    model: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(model, moved)
    here, there = (DiversityConfig(by="embedding", model=str(path)) for path in (model, moved))
    assert settings_of(here) == settings_of(there)
    (moved / "config.json").write_text((moved / "config.json").read_text() + " ")
    assert settings_of(here) != settings_of(there)


def test_embeddings_are_unit_means_over_a_texts_own_tokens(model: Path) -> None:
    embedder = Embedder(str(model), device="cpu", batch_size=2, max_tokens=16)
    texts = ["a b c", "d", "a b c d e f g h", "", "\ud800", "a " * 100]
    vectors = embedder.embed(texts)
    assert vectors.shape == (6, 32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 0, 1, 1], abs=1e-5)
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert vectors == pytest.approx(alone, abs=1e-5)
    again = pickle.loads(pickle.dumps(embedder))
    assert np.array_equal(again.embed(texts), vectors)


def test_texts_near_in_the_models_space_are_duplicates(model: Path) -> None:
    settings: dict[str, Any] = {"by": "embedding", "model": str(model), "max_tokens": 16}
    marks = marks_of("a b c d", "x y", "unknown words", "A B C D", threshold=0.99, **settings)
    assert reasons(marks) == ["unique", "unique", "near_duplicate_embedding", "duplicate_text"]
    assert marks[2].note == "attempt 1"
    assert marks[2].reward == pytest.approx(1.0, abs=1e-4)
    assert reasons(marks_of("a", **settings)) == ["unique"]
