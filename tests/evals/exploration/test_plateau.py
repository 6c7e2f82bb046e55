"""When a run has nothing more to find, and when nobody can say."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from evals.exploration.config import ExplorationConfig
from evals.exploration.plateau import ADVICE, IterationSigns, collapse_warning, plateau

CONFIG = ExplorationConfig()
KEPT = IterationSigns(
    iteration=0,
    promoted=False,
    verdict="kept",
    gain_high=0.012,
    smallest_gain=0.02,
    unique_per_solved=2.1,
    coverage=0.40,
    pass_at_largest_k_difference=(-0.01, 0.03),
)


def history(*changes: dict[str, object]) -> list[IterationSigns]:
    return [replace(KEPT, iteration=at, **change) for at, change in enumerate(changes)]  # type: ignore[arg-type]


def test_two_kept_iterations_that_exclude_a_gain_are_a_plateau() -> None:
    found = plateau(history({}, {"gain_high": 0.008, "coverage": 0.405}), CONFIG)
    assert found.reached
    assert ADVICE in found.sentence
    assert "at most 1.2 points, 0.8 points" in found.sentence
    assert "(a gain worth having: 2.0 points)" in found.sentence
    assert "solved 40.0 % then 40.5 %" in found.sentence


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"promoted": True, "verdict": "promoted"}, "iteration 1 was promoted"),
        ({"verdict": "underpowered"}, "iteration 1 was underpowered"),
        ({"verdict": "untrained", "gain_high": None}, "iteration 1 measured no gain"),
        ({"gain_high": 0.02}, "iteration 1 does not exclude a gain of 2.0 points"),
        ({"coverage": 0.42}, "rose from 40.0 % to 42.0 % in iteration 1"),
        ({"coverage": None}, "iterations 0 and 1 have no verdicts"),
    ],
)
def test_one_sign_of_life_is_no_plateau(change: dict[str, object], why: str) -> None:
    found = plateau(history({}, change), CONFIG)
    assert not found.reached
    assert why in found.sentence
    assert ADVICE not in found.sentence


def test_only_the_last_iterations_count() -> None:
    promoted = {"promoted": True, "verdict": "promoted", "gain_high": 0.06, "coverage": 0.30}
    assert plateau(history(promoted, {}, {}), CONFIG).reached
    assert not plateau(history({}, {}, promoted), CONFIG).reached
    assert not plateau(history(promoted, {}, {}), ExplorationConfig(plateau_iterations=3)).reached


def test_a_short_run_has_no_plateau() -> None:
    assert not plateau([], CONFIG).reached
    assert "1 of 2 iterations" in plateau(history({}), CONFIG).sentence


def test_a_fall_in_coverage_is_no_rise() -> None:
    assert plateau(history({}, {"coverage": 0.2}), CONFIG).reached


def test_one_iteration_is_too_few_for_a_plateau() -> None:
    with pytest.raises(ValidationError):
        ExplorationConfig(plateau_iterations=1)


@pytest.mark.parametrize(
    ("difference", "warned"),
    [((-0.08, -0.02), True), ((-0.08, 0.0), False), ((0.01, 0.05), False), (None, False)],
)
def test_a_policy_that_finds_less_than_the_base_is_warned_of(
    difference: tuple[float, float] | None, warned: bool
) -> None:
    sentence = collapse_warning(replace(KEPT, pass_at_largest_k_difference=difference))
    assert (sentence is not None) is warned
    if sentence:
        assert "2.0 points to 8.0 points lower" in sentence


def test_signs_come_from_the_metrics_of_both_artifacts() -> None:
    explored = {
        "iteration": 3,
        "unique_per_solved": 1.5,
        "coverage": 0.5,
        "base": {"difference": {"mean": 0.0, "low": -0.1, "high": 0.1, "n": 9}},
    }
    decision = {"promoted": False, "verdict": "kept", "high": 0.01}
    signs = IterationSigns.of(explored, decision, 0.02)
    assert (signs.iteration, signs.verdict, signs.gain_high) == (3, "kept", 0.01)
    assert signs.pass_at_largest_k_difference == (-0.1, 0.1)
    untrained = IterationSigns.of({**explored, "base": None}, None, 0.02)
    assert (untrained.verdict, untrained.promoted, untrained.gain_high) == (
        "untrained",
        False,
        None,
    )
