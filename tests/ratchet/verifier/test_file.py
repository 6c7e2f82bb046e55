import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from ratchet.errors import InputError
from ratchet.problems.reference_check import check_gold, gold_metrics
from ratchet.records import Problem
from ratchet.verifier.audit import Audit
from ratchet.verifier.file import VerifyColumns, VerifySettings, verify_file
from ratchet.verifier.grader import Grade, Grader

ROWS = [
    {"id": 1, "text": r"so \boxed{18}", "gold": "18", "answer": "old"},
    {"id": 2, "text": r"so \boxed{19}", "gold": "18", "answer": "old"},
    {"id": 3, "text": r"so \boxed{\sqrt{8}}", "gold": r"2\sqrt{2}", "answer": "old"},
    {"id": 4, "text": "no idea", "gold": "18", "answer": "old"},
]
EXPECTED = ["equal_string", "different", "equal_symbolic", "no_answer"]


def settings(processes: int = 1) -> VerifySettings:
    columns = VerifyColumns(completion="text", reference="gold")
    return VerifySettings(columns=columns, processes=processes)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    table = pa.Table.from_pylist(rows)
    match path.suffix:
        case ".parquet":
            pq.write_table(table, path)
        case ".csv":
            pa_csv.write_csv(table, path)
        case _:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_a_file_keeps_its_columns_and_gets_grades(tmp_path: Path, ending: str) -> None:
    source, out = write(tmp_path / f"in{ending}", ROWS), tmp_path / "out.parquet"
    summary = verify_file(source, out, settings())
    rows = pq.read_table(out).to_pylist()
    assert [row["reason"] for row in rows] == EXPECTED
    assert [row["correct"] for row in rows] == [True, False, True, False]
    assert {row["input_answer"] for row in rows} == {"old"}
    assert summary.completions == 4
    assert summary.audit.by("reason") == dict.fromkeys(EXPECTED, 1)


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", [{"text": "5"}])
    with pytest.raises(InputError, match=r"no column gold; its columns are: text"):
        verify_file(source, tmp_path / "out.parquet", settings())
    assert not (tmp_path / "out.parquet").exists()


def test_a_killed_grading_process_changes_no_verdict(tmp_path: Path) -> None:
    rows = [
        {"id": n, "text": rf"\boxed{{{n % 50}\sqrt{{2}}}}", "gold": r"7\sqrt{2}"}
        for n in range(6_000)
    ]
    source = write(tmp_path / "in.parquet", rows)
    killer = threading.Thread(target=_kill_a_child_soon)
    killer.start()
    summary = verify_file(source, tmp_path / "out.parquet", settings(processes=2))
    killer.join()
    graded = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert summary.completions == 6_000
    assert [row["id"] for row in graded] == list(range(6_000))
    assert all(row["correct"] is (row["id"] % 50 == 7) for row in graded)


def _kill_a_child_soon() -> None:
    for _ in range(200):
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
                command = status.with_name("cmdline").read_bytes()
            except OSError:
                continue
            if int(fields[1]) == os.getpid() and b"spawn_main" in command:
                time.sleep(0.5)
                os.kill(int(status.parent.name), signal.SIGKILL)
                return
        time.sleep(0.02)


def make_problem(reference_answer: str, solution: str | None = None) -> Problem:
    return Problem(
        problem_id=reference_answer[:10] or "empty",
        problem="?",
        reference_answer=reference_answer,
        solution=solution,
    )


def test_problems_that_cannot_be_graded_are_set_aside_with_a_reason() -> None:
    problems = [
        make_problem("18", "9+9 #### 18"),
        make_problem("19", r"so \boxed{20}"),
        make_problem("2^{2^{2^{49}}}"),
        make_problem("7", "a solution that states nothing"),
        make_problem("1024", r"which is \boxed{2^{10}}"),
    ]
    with Grader(workers=1) as grader:
        kept, set_aside = check_gold(problems, grader)
    assert [problem.reference_answer for problem in kept] == ["18", "7", "1024"]
    assert gold_metrics(set_aside) == {"solution_disagrees": 1, "reference_too_large": 1}


def test_the_audit_points_at_doubtful_labels(tmp_path: Path) -> None:
    audit = Audit()
    for answer in ("5", "5", "5.", "4"):
        audit.add("p", "4", Grade(answer, answer == "4", "different", "boxed", "number"))
    audit.add("q", "4", Grade("x", None, "timeout", "boxed"))
    (found,) = audit.suspicious()
    assert (found["problem"], found["answer"], found["votes"]) == ("p", "5", 3)
    audit.write(tmp_path)
    counts = pq.read_table(tmp_path / "counts.parquet").to_pylist()
    assert sum(row["completions"] for row in counts) == 5
    assert pq.read_table(tmp_path / "failures.parquet").num_rows == 1


def test_jsonl_keys_and_decimals_that_show_late_are_kept(tmp_path: Path) -> None:
    early = [{"text": r"\boxed{1}", "gold": "1", "score": 1}] * 1_500
    late = [{"text": r"\boxed{2}", "gold": "2", "score": 0.5, "note": "late"}]
    source, out = write(tmp_path / "in.jsonl", early + late), tmp_path / "out.parquet"
    verify_file(source, out, settings())
    rows = pq.read_table(out).to_pylist()
    assert (rows[0]["score"], rows[0]["note"]) == (1, None)
    assert (rows[-1]["score"], rows[-1]["note"]) == (0.5, "late")


def grade_csv(tmp_path: Path, content: bytes) -> list[dict[str, Any]]:
    source, out = tmp_path / "in.csv", tmp_path / "out.parquet"
    source.write_bytes(content)
    verify_file(source, out, settings())
    return pq.read_table(out).to_pylist()


def test_the_input_is_never_replaced(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", ROWS)
    (tmp_path / "link.parquet").symlink_to(source)
    os.link(source, tmp_path / "hard.parquet")
    before = source.read_bytes()
    for name in ("in.parquet", "link.parquet", "hard.parquet"):
        with pytest.raises(InputError, match="is the input itself"):
            verify_file(source, tmp_path / name, settings())
    assert source.read_bytes() == before


def test_the_command_answers_a_bad_target_with_one_line_and_exit_code_2(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", ROWS)
    names = ["--completion", "text", "--reference", "gold"]
    command = [sys.executable, "-m", "flows", "verify", str(source), *names, "-o", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith(f"error: {source} is the input itself")
    assert len(done.stderr.splitlines()) == 1


def test_a_target_that_cannot_be_written_is_refused_before_anything_is_graded(
    tmp_path: Path,
) -> None:
    source = write(tmp_path / "in.parquet", ROWS)
    graded: list[int] = []
    for out, seen in ((tmp_path, "is a folder"), (source / "out.parquet", "above it is a file")):
        with pytest.raises(InputError, match=seen):
            verify_file(source, out, settings(), graded.append)
    assert graded == []


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    lines = [json.dumps({"text": r"\boxed{1}", "gold": "1"})] * 1_500
    source = tmp_path / "in.csv"
    source.write_text("text,gold\n" + "A: 1,1\n" * 2_000 + "1,2,3\n")
    with pytest.raises(InputError, match="3 cells"):
        verify_file(source, tmp_path / "out.parquet", settings())
    broken = tmp_path / "in.jsonl"
    broken.write_text("\n".join(lines))

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_file(broken, tmp_path / "out.parquet", settings(), stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "in.jsonl"]


def test_a_csv_cell_may_be_long_and_hold_anything(tmp_path: Path) -> None:
    long = 'a "quote", a\nline ' * 300_000
    cell = long.replace('"', '""')
    content = f'\ufefftext,gold,é\n"{cell}\\boxed{{18}}",18,ü\n\n\\boxed{{5}},6,\n'
    first, second = grade_csv(tmp_path, content.encode())
    assert first["text"] == long + r"\boxed{18}"
    assert (first["reason"], first["é"]) == ("too_large", "ü")
    assert (second["reason"], second["é"]) == ("different", "")


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"", "in.csv is empty"),
        (b"\n\n", "in.csv is empty"),
        (b"text,gold\n", "in.csv has no rows"),
        (b"text,gold\na,1\na,1,2\n", "row 2: 3 cells, but the first line names 2"),
        (b"text,gold\na,1\na\n", "row 2: 1 cells"),
        (b"text,gold\na,1\nb,\xff\n", "row 2, column gold: not UTF-8"),
        (b'text,gold\na,1\n"b,1\n', "row 2: no CSV"),
        (b"text,text\na,1\n", "two columns have one name"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused_with_its_row(
    tmp_path: Path, content: bytes, seen: str
) -> None:
    with pytest.raises(InputError, match=seen):
        grade_csv(tmp_path, content)


def test_a_parquet_file_that_is_none_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    for content in (b"", b"PAR1 or so"):
        source.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as Parquet"):
            verify_file(source, tmp_path / "out.parquet", settings())


@pytest.mark.parametrize("values", [[1, "a"], ["a", 1], [2**70]])
def test_a_column_of_mixed_types_is_named(tmp_path: Path, values: list[Any]) -> None:
    rows = [{"text": r"\boxed{1}", "gold": "1", "level": value} for value in values]
    source = write_lines(tmp_path / "in.jsonl", rows)
    with pytest.raises(InputError, match=r"from line 1: a column changes its type .column level"):
        verify_file(source, tmp_path / "out.parquet", settings())


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_reference_that_is_missing_is_called_so(tmp_path: Path) -> None:
    rows = [
        {"text": text, "gold": gold}
        for gold in (None, "", " ")
        for text in (r"\boxed{1}", "nothing", None)
    ]
    source, out = write_lines(tmp_path / "in.jsonl", rows), tmp_path / "out.parquet"
    summary = verify_file(source, out, settings())
    assert summary.audit.by("reason") == {"reference_missing": 9}
    assert {row["correct"] for row in pq.read_table(out).to_pylist()} == {None}
    numbers = write(tmp_path / "in.parquet", [{"text": "A: 5", "gold": 5.0}, {"text": "A: 5"}])
    verify_file(numbers, out, settings())
    assert pq.read_table(out)["reason"].to_pylist() == ["equal_string", "reference_missing"]
    nan = pa.table({"text": ["A: nan"], "gold": [float("nan")]})
    pq.write_table(nan, numbers)
    verify_file(numbers, out, settings())
    assert pq.read_table(out)["reason"].to_pylist() == ["reference_missing"]


def test_a_list_is_no_reference(tmp_path: Path) -> None:
    source = write(tmp_path / "in.parquet", [{"text": "A: 5", "gold": ["5"]}])
    with pytest.raises(InputError, match="column gold holds lists"):
        verify_file(source, tmp_path / "out.parquet", settings())
