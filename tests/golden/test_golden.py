from pathlib import Path

import pytest

from tests.golden import golden


def test_no_identity_changes_unseen() -> None:
    now = golden.identities()
    assert golden.changed("identities", now) == {}
    assert set(now) == set(golden.known("identities")), "renew: python -m tests.golden.golden"


def test_no_output_changes_without_a_new_version(tmp_path: Path) -> None:
    now = golden.outputs(tmp_path)
    assert golden.changed("outputs", now) == {}
    assert set(now) == set(golden.known("outputs")), "renew: python -m tests.golden.golden"


def test_an_output_is_renewed_under_a_new_version_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "HERE", tmp_path)
    (tmp_path / "outputs.json").write_text('{"filter@2+grader3": "before"}')
    with pytest.raises(SystemExit, match=r"filter@2\+grader3: its output changed"):
        golden.renew("outputs", {"filter@2+grader3": "after"})
    assert golden.known("outputs") == {"filter@2+grader3": "before"}
    golden.renew("outputs", {"filter@2+grader4": "after"})
    assert golden.known("outputs") == {"filter@2+grader4": "after"}
