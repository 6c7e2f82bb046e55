from pathlib import Path

from tests.golden import golden


def test_no_identity_changes_unseen() -> None:
    now = golden.identities()
    assert golden.changed("identities", now) == {}
    assert set(now) == set(golden.known("identities")), "renew: python -m tests.golden.golden"


def test_no_output_changes_without_a_new_version(tmp_path: Path) -> None:
    now = golden.outputs(tmp_path)
    assert golden.changed("outputs", now) == {}
    assert set(now) == set(golden.known("outputs")), "renew: python -m tests.golden.golden"
