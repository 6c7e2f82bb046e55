import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from ratchet.answer_audit import Audit
from ratchet.answers import Grade, Grader
from ratchet.errors import InputError
from ratchet.gold import check_gold, gold_metrics
from ratchet.records import Problem
from ratchet.verify import VerifyColumns, VerifySettings, verify_file

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
    ]
    with Grader(workers=1) as grader:
        kept, set_aside = check_gold(problems, grader)
    assert [problem.reference_answer for problem in kept] == ["18", "7"]
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
