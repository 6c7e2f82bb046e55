"""What a plan says of gate and guards: what they can see, or that they see nothing."""

from __future__ import annotations

import json

import pytest

from flows.config import load_config
from flows.reports.power_report import power_lines, power_of
from tests.helpers.places import CONFIGS

DEMO = CONFIGS / "demo.toml"
GUARD = 'guards=[{name="other", margin=0.02, problems={kind="arithmetic", split="test"}}]'


def test_more_dev_problems_see_less() -> None:
    config = load_config(DEMO)
    few, many = (power_of(config, {"dev": n})["gate"]["smallest_gain"] for n in (200, 1200))
    assert few == pytest.approx(many * (1200 / 200) ** 0.5, rel=0.02)


def test_dev_sets_on_which_nothing_could_be_seen_are_told_and_are_json() -> None:
    power = power_of(load_config(DEMO), {"dev": 3})
    assert json.loads(json.dumps(power, allow_nan=False))["gate"]["smallest_gain"] is None
    assert "nothing would ever be promoted" in next(iter(power_lines(power)))


def test_a_set_that_is_not_here_yet_is_told_later() -> None:
    (line,) = power_lines(power_of(load_config(DEMO), {"dev": None}))
    assert "told once dev is on this machine" in line


def test_a_guard_that_harmless_candidates_would_fail_is_called_underpowered() -> None:
    config = load_config(DEMO, [GUARD])
    small, large = (power_of(config, {"dev": 1200, "other": n}) for n in (200, 2000))
    assert small["guards"]["other"]["unchanged_passes"] < 0.9
    assert "underpowered" in list(power_lines(small))[-1]
    assert "underpowered" not in list(power_lines(large))[-1]


def test_a_gate_without_a_test_promises_nothing() -> None:
    told = [
        next(
            iter(power_lines(power_of(load_config(DEMO, [f'gate={{kind="{kind}"}}']), {"dev": 9})))
        )
        for kind in ("min_gain", "manual")
    ]
    assert ("no test" in told[0], "suspends" in told[1]) == (True, True)
