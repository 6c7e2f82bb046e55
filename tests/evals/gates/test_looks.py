import json
from dataclasses import asdict

import numpy as np
import pytest

from evals.config import GateConfig, ManualGate, McNemarGate, MinGainGate, PairedGate
from evals.gates.looks import Decision, decide, look_at
from evals.gates.paired import Pairs, pair
from tests.helpers.contested import answered, pairs_of, single

LOOKS = (2, 4, 8)
LEVEL = 0.01


def one_answer(gained: int, lost: int, same: int) -> Pairs:
    before, after = single(gained, lost, same)
    return pair(answered(before), answered(after))


def at_random(n: int, gain: float, k: int, seed: int = 0) -> Pairs:
    """Means over `k` completions of each of `n` problems; their difference is exactly `gain`."""
    rng = np.random.default_rng(seed)
    p = np.tile([0.2, 0.5, 0.8], n // 3 + 1)[:n]
    before, after = (rng.binomial(k, p) / k for _ in range(2))
    after = after - after.mean() + before.mean() + gain
    return pairs_of(before.tolist(), after.tolist(), k)


@pytest.mark.parametrize(
    ("gained", "lost", "verdict"),
    [(8, 0, "promoted"), (5, 0, "underpowered"), (31, 28, "underpowered"), (60, 30, "promoted")],
)
def test_one_completion_is_decided_by_mcnemar(gained: int, lost: int, verdict: str) -> None:
    decision = decide(McNemarGate(), [one_answer(gained, lost, 100)], (1,), LEVEL)
    assert (decision.verdict, decision.test) == (verdict, "mcnemar")
    assert f"McNemar, {gained} gained, {lost} lost of {gained + lost + 100}" in decision.reason
    assert decision.needs_completions is None


def test_a_look_promotes_as_soon_as_its_share_of_the_level_is_met() -> None:
    """p lies between the first look's share of .01 and the second's."""
    pairs = at_random(400, 0.071, 2)
    first, second = (look_at(PairedGate(), pairs, at, LOOKS, LEVEL) for at in (0, 1))
    assert first.p is not None
    assert (first.level, second.level) == pytest.approx((0.0005, 0.001))
    assert first.level <= first.p < second.level
    assert (first.outcome, second.outcome) == ("go_on", "promote")


@pytest.mark.parametrize(
    ("at", "futility", "outcome"),
    [(0, True, "go_on"), (1, True, "futile"), (1, False, "go_on"), (2, True, "end")],
)
def test_a_candidate_that_is_behind_stops_between_first_and_last(
    at: int, futility: bool, outcome: str
) -> None:
    look = look_at(PairedGate(futility=futility), at_random(300, -0.01, 4), at, LOOKS, LEVEL)
    assert look.outcome == outcome


def test_a_decision_reads_no_look_past_the_one_that_settled_it() -> None:
    pairs = [at_random(300, gain, k) for gain, k in ((0.0, 2), (-0.02, 4), (0.5, 8))]
    decision = decide(PairedGate(), pairs, LOOKS, LEVEL)
    assert [look.outcome for look in decision.looks] == ["go_on", "futile"]
    assert (decision.verdict, decision.needs_problems) == ("kept", None)
    assert decision.reason.startswith("stopped as futile: p=")
    assert "look 2 of 3" in decision.reason


def test_looks_that_leave_it_open_are_no_decision() -> None:
    with pytest.raises(ValueError, match="1 of 3 looks leave it open"):
        decide(PairedGate(), [at_random(300, 0.0, 2)], LOOKS, LEVEL)


def last(gain: float, n: int = 500, config: GateConfig | None = None) -> Decision:
    pairs = [at_random(n, 0.0, 2), at_random(n, 0.001, 4), at_random(n, gain, 8)]
    return decide(config or PairedGate(), pairs, LOOKS, LEVEL)


def test_a_gain_that_was_not_seen_and_is_not_excluded_is_underpowered() -> None:
    decision = last(0.01)
    assert decision.verdict == "underpowered"
    assert decision.needs_problems is not None
    assert decision.needs_completions is not None
    assert decision.needs_problems > 500
    assert decision.needs_completions > 8
    assert f"{decision.needs_problems:,} problems or" in decision.reason
    enough = last(0.005, n=2 * decision.needs_problems)
    assert enough.verdict == "kept"


def test_a_gain_that_is_excluded_is_no_matter_of_power() -> None:
    decision = last(-0.02)
    assert decision.high < 0.02
    assert (decision.verdict, decision.needs_problems) == ("kept", None)


def test_a_gate_that_could_never_promote_says_so() -> None:
    """Four problems that all turn right: 0.5 ** 4 is above the level (dotnet/skills: "kept")."""
    decision = decide(McNemarGate(), [one_answer(4, 0, 0)], (1,), LEVEL)
    assert decision.verdict == "underpowered"
    equal = decide(McNemarGate(), [one_answer(0, 0, 20)], (1,), LEVEL)
    assert equal.verdict == "underpowered"
    assert (equal.needs_problems or 0) > 20


def test_where_alpha_is_spent_the_first_look_ends_it_and_says_what_to_do() -> None:
    decision = decide(PairedGate(), [at_random(300, 0.5, 2)], LOOKS, 0.0)
    assert (decision.verdict, len(decision.looks)) == ("underpowered", 1)
    assert "alpha is spent" in decision.reason
    assert 'schedule = "open"' in decision.reason


def test_no_problem_is_no_decision() -> None:
    decision = decide(PairedGate(), [pairs_of([], [], 2)], LOOKS, LEVEL)
    assert (decision.verdict, decision.reason) == (
        "underpowered",
        "no dev problem could be compared",
    )


def test_the_reason_is_one_short_line_with_the_numbers() -> None:
    decision = decide(PairedGate(), [at_random(1200, 0.3, 2)], LOOKS, 0.05 / 3)
    assert decision.promoted
    assert "< 0.000833 (mean@2 over 1200, +30.0 points [2" in decision.reason
    assert decision.reason.endswith("look 1 of 3)")
    assert len(decision.reason) < 110


@pytest.mark.parametrize("p", [0.0099999, 0.01, 0.0100001])
def test_a_p_near_its_level_is_told_with_the_digits_it_takes(p: float) -> None:
    from evals.gates.reasons import against

    left, sign, right = against(p, 0.01).removeprefix("p=").split()
    assert (float(left) < float(right)) == (sign == "<") == (p < 0.01)


@pytest.mark.parametrize(("gain", "promoted"), [(0.01, True), (0.009, False)])
def test_min_gain_promotes_by_the_difference_alone(gain: float, promoted: bool) -> None:
    before = [0.25] * 1000
    pairs = pairs_of(before, [0.5] * round(4000 * gain) + before[round(4000 * gain) :], 4)
    decision = decide(MinGainGate(min_gain=0.01), [pairs], (4,), 0.05)
    assert (decision.promoted, decision.test) == (promoted, "min_gain")
    assert "no test" in decision.reason


@pytest.mark.parametrize(
    ("answer", "verdict"), [(None, "undecided"), (True, "promoted"), (False, "kept")]
)
def test_a_manual_gate_shows_numbers_to_a_person(answer: bool | None, verdict: str) -> None:
    pairs = at_random(300, 0.5, 4)
    assert look_at(ManualGate(), pairs, 0, (4,), 0.05).outcome == "end"
    decision = decide(ManualGate(), [pairs], (4,), 0.05, answer)
    assert decision.verdict == verdict
    assert "mean@4 over 300, +50.0 points" in decision.reason


def test_a_pinned_problem_that_regressed_keeps_the_incumbent() -> None:
    pairs = one_answer(60, 10, 100)
    lost, gained = "p65", "p5"
    decision = decide(McNemarGate(pinned=(lost, gained)), [pairs], (1,), LEVEL)
    assert (decision.verdict, decision.looks[-1].outcome) == ("kept", "promote")
    assert "pinned problems got worse: p65 (1 -> 0)" in decision.reason
    assert decide(McNemarGate(pinned=(gained,)), [pairs], (1,), LEVEL).promoted


def test_a_decision_is_plain_numbers() -> None:
    told = json.loads(json.dumps(asdict(last(0.01))))
    assert told["looks"][2]["outcome"] == "end"
    assert told["low"] < told["difference"] < told["high"]
