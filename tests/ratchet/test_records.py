import pyarrow as pa
import pytest

from ratchet.records import DpoRow, Row, SftRow, from_table, to_table

SFT = SftRow(problem_id="p0", attempt=0, prompt="2+2=", completion="4")
DPO = DpoRow(
    problem_id="p0",
    chosen_attempt=0,
    rejected_attempt=1,
    prompt="2+2=",
    chosen="4",
    rejected="5",
)


def as_before(row: Row, older: str) -> pa.Table:
    """The table of a row as it was written before rows told how completions ended."""
    table = to_table([row], type(row))
    columns = [name for name in table.column_names if not name.endswith("finish_reason")]
    return table.select(columns).replace_schema_metadata({"ratchet.schema": older})


@pytest.mark.parametrize(("row", "older"), [(SFT, "sft/1"), (DPO, "dpo/1")])
def test_rows_that_a_store_holds_from_before_are_read(row: Row, older: str) -> None:
    assert from_table(as_before(row, older), type(row)) == [row]


def test_rows_of_an_unknown_version_are_refused() -> None:
    with pytest.raises(ValueError, match="'sft/0', expected 'sft/2'"):
        from_table(as_before(SFT, "sft/0"), SftRow)
