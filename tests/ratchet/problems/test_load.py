import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError

from ratchet.errors import InputError
from ratchet.problems.coverage import left_out
from ratchet.problems.load import (
    ArithmeticSource,
    Columns,
    FileSource,
    Gsm8kSource,
    HubSource,
    Math500Source,
    MathSource,
    ProblemSource,
    load_problems,
    source_fingerprint,
)
from tests.helpers.places import ROOT, SHARED_DATA

GSM8K = {"question": "2+2?", "answer": "2+2 = <<2+2=4>>4\n#### 4"}
MATH = {
    "problem": "Find $x$.",
    "level": "Level 5",
    "type": "Counting & Probability",
    "solution": r"$x=\boxed{\frac{1}{2}}$.",
}


def write_jsonl(path: Path, *rows: dict[str, Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def write_file(path: Path, rows: list[dict[str, Any]]) -> str:
    match path.suffix:
        case ".jsonl":
            write_jsonl(path, *rows)
        case ".json":
            path.write_text(json.dumps(rows))
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys())
                writer.writeheader()
                writer.writerows(rows)
    return str(path)


def test_gsm8k_lines_become_problems(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "train.jsonl", GSM8K, {**GSM8K, "answer": "#### 1,000"})
    first, second = load_problems(Gsm8kSource(path=path)).problems
    assert (first.problem_id, first.problem, first.reference_answer) == (
        "gsm8k-train-0",
        "2+2?",
        "4",
    )
    assert first.solution == "2+2 = 4\n\\boxed{4}"
    assert second.reference_answer == "1,000"


def test_gsm8k_solution_is_left_alone_when_raw(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "train.jsonl", GSM8K)
    config = Gsm8kSource(path=path, solution_style="raw")
    assert load_problems(config).problems[0].solution == GSM8K["answer"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_gsm8k_parquet_with_more_columns(split: str) -> None:
    path = SHARED_DATA / f"gsm8k_{split}.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    rows = pq.read_table(path).to_pylist()
    loaded = load_problems(Gsm8kSource(path=str(path), split=split))
    assert [p.problem_id for p in loaded.problems] == [row["id"] for row in rows]
    answers = [p.reference_answer.replace(",", "") for p in loaded.problems]
    assert answers == [row["final_answer"].replace(",", "") for row in rows]
    assert not any("<<" in (p.solution or "") for p in loaded.problems)


def test_math_lines_become_problems(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "math.jsonl", MATH, {**MATH, "level": "Level ?"})
    first, second = load_problems(MathSource(path=path)).problems
    assert (first.reference_answer, first.level) == (r"\frac{1}{2}", 5)
    assert (first.subject, first.problem_id) == ("Counting & Probability", "math-train-0")
    assert second.level is None


def test_math_folder_of_one_file_per_problem(tmp_path: Path) -> None:
    for split, name in (("train", "algebra/2"), ("train", "geometry/1"), ("test", "algebra/7")):
        file = tmp_path / split / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(MATH))
    problems = load_problems(MathSource(path=str(tmp_path), split="train")).problems
    assert [p.problem_id for p in problems] == ["train/algebra/2.json", "train/geometry/1.json"]


def test_math500_file() -> None:
    path = SHARED_DATA / "math500.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    config = Math500Source(path=str(path), levels=(1, 5), subjects=("number_theory",))
    everything = load_problems(Math500Source(path=str(path)))
    assert len(everything.problems) == 500
    assert everything.skipped == {}
    chosen = load_problems(config).problems
    assert {(p.subject, p.level) for p in chosen} == {("Number Theory", 1), ("Number Theory", 5)}


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".csv"])
def test_any_file_by_its_columns(tmp_path: Path, suffix: str) -> None:
    rows = [{"q": "1+1?", "a": 2, "key": "x"}, {"q": "2+2?", "a": 4, "key": "y"}]
    path = write_file(tmp_path / f"own{suffix}", rows)
    columns = Columns(problem="q", reference_answer="a", problem_id="key")
    problems = load_problems(FileSource(path=path, columns=columns)).problems
    assert [(p.problem_id, p.problem, p.reference_answer) for p in problems] == [
        ("x", "1+1?", "2"),
        ("y", "2+2?", "4"),
    ]
    assert problems[0].source == "own"


def test_reference_is_taken_from_the_solution_where_no_column_holds_it(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", {"q": "?", "s": "so 3, then 18."})
    columns = Columns(problem="q", reference_answer=None, solution="s")
    config = FileSource(path=path, columns=columns, answer_format="last_number")
    assert load_problems(config).problems[0].reference_answer == "18"


def test_an_empty_name_says_in_toml_that_no_column_holds_the_answer() -> None:
    written = Columns.model_validate({"reference_answer": "", "solution": "s"})
    assert written == Columns(reference_answer=None, solution="s")
    with pytest.raises(ValueError, match="neither reference_answer nor solution"):
        Columns.model_validate({"reference_answer": ""})


def test_rows_without_an_answer_are_counted_apart(tmp_path: Path) -> None:
    rows = [GSM8K, {**GSM8K, "answer": "no idea"}, {**GSM8K, "question": " "}]
    loaded = load_problems(Gsm8kSource(path=write_jsonl(tmp_path / "a.jsonl", *rows)))
    assert len(loaded.problems) == 1
    assert loaded.skipped == {"no_answer": 1, "no_problem_text": 1}


NAN = float("nan")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([1.5, NAN], "no_answer"),
        ([1.5, float("inf")], "no_answer"),
        ([1.5, None], "no_answer"),
        ([["1"], ["1", "2"]], "reference_not_text"),
        ([{"value": 1}, {"value": 2}], "reference_not_text"),
        ([b"1", b"2"], "reference_not_text"),
    ],
)
def test_references_that_are_no_text_or_number_are_set_aside(
    tmp_path: Path, answers: list[Any], reason: str
) -> None:
    rows = [{"q": f"{at}?", "a": answer} for at, answer in enumerate(answers)]
    path = write_file(tmp_path / "a.parquet", [*rows, {"q": "", "a": answers[0]}])
    columns = Columns(problem="q", reference_answer="a")
    config = FileSource(path=path, columns=columns)
    if reason == "no_answer":
        assert load_problems(config).skipped[reason] == 1
        assert [p.reference_answer for p in load_problems(config).problems] == ["1.5"]
    else:
        with pytest.raises(InputError, match=f"'{reason}': 2"):
            load_problems(config)


def test_cells_that_are_nan_are_empty(tmp_path: Path) -> None:
    row = {"problem": "1?", "answer": "1", "level": NAN, "solution": None, "key": NAN}
    path = write_file(tmp_path / "a.parquet", [row, {**row, "level": 2.0, "key": 7.0}])
    columns = Columns(reference_answer="answer", level="level", problem_id="key")
    first, second = load_problems(FileSource(path=path, columns=columns)).problems
    assert (first.problem_id, first.level) == ("a-0", None)
    assert (second.problem_id, second.level) == ("7", 2)


def test_math_problems_with_an_empty_box_are_set_aside(shared_data: Path) -> None:
    loaded = load_problems(MathSource(path=str(shared_data / "math_train.parquet")))
    assert (len(loaded.problems), loaded.skipped) == (7498, {"no_answer": 2})


def test_dev_and_train_cut_from_one_shuffled_set_are_complementary(shared_data: Path) -> None:
    path = str(shared_data / "math_train.parquet")
    train = load_problems(MathSource(path=path, shuffle_seed=1, limit=6500)).problems
    dev = load_problems(MathSource(path=path, shuffle_seed=1, offset=6500)).problems
    assert len({p.problem_id for p in [*train, *dev]}) == 7498
    assert left_out(train, dev) == {}
    last = load_problems(MathSource(path=path, offset=6500)).problems
    assert len(left_out(train, last)["subjects"]) == 5


def test_limit_offset_and_shuffle_keep_ids(tmp_path: Path) -> None:
    rows = [{**GSM8K, "question": f"{n}?"} for n in range(20)]
    path = write_jsonl(tmp_path / "a.jsonl", *rows)
    cut = load_problems(Gsm8kSource(path=path, offset=3, limit=2)).problems
    assert [p.problem_id for p in cut] == ["gsm8k-train-3", "gsm8k-train-4"]
    order = load_problems(Gsm8kSource(path=path, shuffle_seed=1)).problems
    assert order != load_problems(Gsm8kSource(path=path)).problems
    assert all(p.problem == f"{p.problem_id.rpartition('-')[2]}?" for p in order)
    halves = [
        load_problems(Gsm8kSource(path=path, shuffle_seed=1, offset=o, limit=10)).problems
        for o in (0, 10)
    ]
    assert halves[0] + halves[1] == order


def test_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl"):
        load_problems(Gsm8kSource(path="nowhere.jsonl"))


def test_missing_column_lists_the_columns_there(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", {"prompt": "?", "target": "1"})
    with pytest.raises(InputError, match=r"no column answer, question; .*: prompt, target\."):
        load_problems(Gsm8kSource(path=path))


def test_empty_set_and_doubled_ids_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no problem"):
        load_problems(Gsm8kSource(path=write_jsonl(tmp_path / "a.jsonl")))
    path = write_jsonl(tmp_path / "b.jsonl", {**GSM8K, "id": "x"}, {**GSM8K, "id": "x"})
    with pytest.raises(InputError, match=r"more than once.*: x;"):
        load_problems(Gsm8kSource(path=path))


def test_levels_that_nothing_has_are_an_error(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", MATH)
    with pytest.raises(InputError, match="holds no problem"):
        load_problems(MathSource(path=path, levels=(1,)))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", '{"a": 1}\nnot json', "line 2 is no JSON"),
        ("a.jsonl", "[1]", "must be a JSON object"),
        ("a.parquet", "no parquet", "cannot be read as parquet"),
        ("a.txt", "", "cannot be read, only"),
    ],
)
def test_unreadable_files_say_why(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=says):
        load_problems(FileSource(path=str(tmp_path / name)))


def test_fingerprint_follows_content_and_settings_but_not_the_path(tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "one" / "a.jsonl", GSM8K)
    two = write_jsonl(tmp_path / "two" / "b.jsonl", GSM8K)
    base = source_fingerprint(Gsm8kSource(path=one))
    assert source_fingerprint(Gsm8kSource(path=two)) == base
    assert source_fingerprint(Gsm8kSource(path=one, limit=5)) != base
    write_jsonl(tmp_path / "one" / "a.jsonl", GSM8K, GSM8K)
    assert source_fingerprint(Gsm8kSource(path=one)) != base


def test_fingerprint_of_a_file_follows_the_name_that_ids_carry(tmp_path: Path) -> None:
    one, two = (write_jsonl(tmp_path / name, GSM8K) for name in ("a.jsonl", "b.jsonl"))
    assert source_fingerprint(FileSource(path=one)) != source_fingerprint(FileSource(path=two))
    named = [source_fingerprint(FileSource(path=path, name="own")) for path in (one, two)]
    assert named[0] == named[1]


def test_fingerprint_of_a_hub_set_needs_no_network() -> None:
    one = HubSource(path="a/b", revision="1", columns=Columns(problem="q"))
    assert source_fingerprint(one) != source_fingerprint(one.model_copy(update={"revision": "2"}))


def test_arithmetic_problems_come_from_the_generator() -> None:
    loaded = load_problems(ArithmeticSource(split="dev", size=12, levels=(1, 2), seed=3))
    assert len(loaded.problems) == 12
    assert {p.level for p in loaded.problems} == {1, 2}
    with pytest.raises(InputError, match="arithmetic"):
        load_problems(ArithmeticSource(levels=(99,)))


def test_sources_are_told_apart_by_kind() -> None:
    adapter: TypeAdapter[ProblemSource] = TypeAdapter(ProblemSource)
    assert adapter.validate_python({"kind": "math", "levels": [3]}) == MathSource(levels=(3,))
    with pytest.raises(ValidationError):
        adapter.validate_python({"kind": "gsm8k", "levels": [3]})
    with pytest.raises(ValidationError, match="neither"):
        Columns(reference_answer=None)


def test_local_files_are_read_without_datasets(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", GSM8K)
    code = (
        "import sys; from ratchet.problems.load import Gsm8kSource, load_problems; "
        f"load_problems(Gsm8kSource(path={path!r})); print('datasets' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.strip() == "False"
