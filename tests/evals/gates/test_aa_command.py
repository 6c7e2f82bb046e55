import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.simulate_gates import correct_of, main
from ratchet.records import EvalRow, to_table
from tests.helpers.graded import make_row


def write_part(folder: Path, rows: list[EvalRow]) -> None:
    folder.mkdir()
    pq.write_table(to_table(rows, EvalRow), folder / "part-00000.parquet")


def test_a_checkpoint_is_put_to_the_gate_by_all_its_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    write_part(folders[0], [make_row(at % 2 == 0, f"p{at % 50}") for at in range(100)])
    write_part(folders[1], [make_row(None if at else True, f"p{at}") for at in range(50)])
    groups = correct_of(folders)
    assert (len(groups), groups[0], groups[1]) == (50, [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    monkeypatch.setattr(sys, "argv", ["simulate_gates", "--aa", *map(str, folders)])
    main()
    assert "50 problems, 150 completions; 200 times" in capsys.readouterr().out
