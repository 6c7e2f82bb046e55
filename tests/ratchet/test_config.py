from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from ratchet.config import (
    AddedLater,
    Config,
    NotIdentity,
    apply_overrides,
    identity_settings,
    parse_config,
    read_toml,
)
from ratchet.errors import InputError


class Inner(Config):
    rate: float = 1.0
    workers: Annotated[int, NotIdentity()] = 2


class Outer(Config):
    name: str
    size: Annotated[int, Field(ge=1)] = 8
    inner: Inner = Inner()


def test_all_errors_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_config(Outer, {"size": 0, "inner": {"rat": 2.0}, "sise": 3}, "x.toml")
    message = str(caught.value)
    assert "x.toml has 4 errors" in message
    assert "name: missing" in message
    assert "size:" in message
    assert "inner.rat: unknown key; did you mean 'rate'?" in message
    assert "sise: unknown key; did you mean 'size'?" in message


def test_what_cant_change_a_result_is_not_part_of_the_identity() -> None:
    one = Outer(name="a", inner=Inner(workers=1))
    two = Outer(name="a", inner=Inner(workers=64))
    assert identity_settings(one) == identity_settings(two)
    assert identity_settings(one) != identity_settings(Outer(name="a", inner=Inner(rate=2.0)))


def test_overrides_reach_tables_and_lists() -> None:
    tables = {"a": {"b": 1}, "filters": [{"kind": "orm"}]}
    changed = apply_overrides(
        tables, ["a.b=4e-6", "filters.0.kind=length", 'c="x=y"', "d.e=[1, 2]"]
    )
    assert changed["a"]["b"] == 4e-6
    assert changed["filters"] == [{"kind": "length"}]
    assert changed["c"] == "x=y"
    assert changed["d"] == {"e": [1, 2]}
    assert tables["a"]["b"] == 1


@pytest.mark.parametrize("override", ["novalue", "=3", "a.b.c=1", "filters.7.kind=x"])
def test_a_senseless_override_is_an_error(override: str) -> None:
    with pytest.raises(InputError, match="--set"):
        apply_overrides({"a": {"b": 1}, "filters": [{}]}, [override])


def test_a_missing_or_broken_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no config file"):
        read_toml(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("a = ")
    with pytest.raises(InputError, match="no valid TOML"):
        read_toml(broken)


class Grown(Config):
    """A class with a field that came later."""

    size: int = 1
    extra: Annotated[int | None, AddedLater()] = None


def test_a_later_setting_is_no_part_of_the_identity_until_it_is_used() -> None:
    assert identity_settings(Grown()) == {"size": 1}
    assert identity_settings(Grown(extra=2)) == {"size": 1, "extra": 2}
