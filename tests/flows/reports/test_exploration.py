"""The line that `ratchet show` prints on how a policy explores."""

from typing import Any

from flows.reports.exploration import exploration_line, shown_exploration

METRICS: dict[str, Any] = {
    "iteration": 1,
    "problems": 6000,
    "left_out": 0,
    "drawn": 24000,
    "unscored": 0,
    "solved": 1950,
    "coverage": 0.325,
    "unique_per_problem": 0.7,
    "unique_per_solved": 2.14,
    "distinct_share": 0.881,
    "group_size": 4,
    "pass_at_k": {"1": {"mean": 0.25}, "2": {"mean": 0.3}, "4": {"mean": 0.4123}},
    "base": {"k": 4, "own": {"mean": 0.4123}, "base": {"mean": 0.35}},
    "mean_tokens": 212.4,
    "nats_per_token": 0.208,
    "temperatures": [1.0],
    "balance": 0.312,
    "wanted_per_problem": 4,
}


def test_one_line_says_how_an_iteration_explored() -> None:
    assert exploration_line(shown_exploration(METRICS)) == (
        "explore: 1,950 of 6,000 solved · 2.1 unique per solved · 88 % of equations distinct · "
        "pass@4 41.2 % (base 35.0 %) · 0.21 nats a token · balance 0.31"
    )


def test_what_was_not_measured_is_not_in_the_line() -> None:
    bare = {**METRICS, "base": None, "nats_per_token": None, "distinct_share": None}
    assert exploration_line(shown_exploration(bare)) == (
        "explore: 1,950 of 6,000 solved · 2.1 unique per solved · pass@4 41.2 % · balance 0.31"
    )


def test_another_temperature_than_1_is_said_with_the_nats() -> None:
    line = exploration_line(shown_exploration({**METRICS, "temperatures": [0.7]}))
    assert "0.21 nats a token (drawn at temperature 0.7)" in line


def test_programs_read_the_figures_without_the_counts() -> None:
    shown = shown_exploration(METRICS)
    assert shown["pass_at_k"]["4"]["mean"] == 0.4123
    assert "drawn" not in shown
