import json
from dataclasses import asdict

import numpy as np
import pytest

from evals.attempts import ProblemAttempts, gather
from evals.config import GuardConfig, Metric, PairedGate
from evals.gates.guards import GuardVerdict, Watched, check_guard, judge
from tests.helpers.contested import Groups, answered, single
from tests.helpers.graded import dead, make_row

Side = dict[str, ProblemAttempts]


def check(config: GuardConfig, before: Side, after: Side) -> GuardVerdict:
    return check_guard("gsm8k", config, PairedGate(), before, after)


def side(n: int, **given: object) -> Side:
    return gather(make_row(True, f"p{at}", **given) for at in range(n))


@pytest.mark.parametrize(
    ("gained", "lost", "verdict"),
    [(50, 50, "passed"), (0, 100, "refused"), (0, 200, "refused"), (150, 0, "passed")],
)
def test_a_guard_tolerates_its_margin_and_no_more(gained: int, lost: int, verdict: str) -> None:
    before, after = single(gained, lost, 900)
    found = check(GuardConfig(margin=0.02), answered(before), answered(after))
    assert (found.verdict, found.passed) == (verdict, verdict == "passed")
    assert f"guard gsm8k: {verdict}, accuracy " in found.reason
    assert found.reason.endswith("for a loss of 4 points")
    assert found.needs_problems is None


def test_a_loss_is_told_in_words_with_both_figures() -> None:
    before, after = single(20, 110, 870)
    found = check(GuardConfig(), answered(before), answered(after))
    assert "refused, accuracy 98.0 -> 89.0 %" in found.reason
    assert found.difference == pytest.approx(-0.09)


def test_a_guard_too_small_for_its_margin_is_underpowered_and_says_what_would_do() -> None:
    before, after = single(5, 5, 40)
    small = check(GuardConfig(margin=0.01), answered(before), answered(after))
    assert small.verdict == "underpowered"
    assert small.needs_problems is not None
    assert f"it needs {small.needs_problems:,} problems" in small.reason
    times = -(-small.needs_problems // 50)
    before, after = single(5 * times, 5 * times, 40 * times)
    assert check(GuardConfig(margin=0.01), answered(before), answered(after)).passed


def test_a_loss_beyond_the_margin_is_refused_however_small_the_guard() -> None:
    before, after = single(0, 25, 25)
    assert check(GuardConfig(margin=0.01), answered(before), answered(after)).verdict == "refused"


def test_equal_answers_to_few_problems_pass_no_guard() -> None:
    equal: Groups = [[True]] * 20
    found = check(GuardConfig(), answered(equal), answered(equal))
    assert (found.verdict, found.needs_problems) == ("underpowered", 79)


@pytest.mark.parametrize("unscored", [90, 100])
def test_a_guard_that_was_not_graded_holds_the_candidate_back(unscored: int) -> None:
    """90 % without a verdict once passed, and all of them were a traceback."""
    verdicts: Groups = [[None]] * unscored + [[True]] * (100 - unscored)
    found = check(GuardConfig(), answered(verdicts), answered(verdicts))
    assert (found.verdict, found.p) == ("refused", None)
    told = "the grader is broken" if unscored == 100 else "90 of the incumbent's 100"
    assert f"guard gsm8k: refused, {told}" in found.reason


@pytest.mark.parametrize(
    ("metric", "worse", "better"),
    [
        ("truncated", {"reason": "truncated", "answer": None}, {}),
        ("no_answer", {"reason": "no_answer", "answer": None}, {}),
        ("length", {"num_tokens": 50}, {"num_tokens": 10}),
    ],
)
def test_of_some_figures_less_is_better(
    metric: Metric, worse: dict[str, object], better: dict[str, object]
) -> None:
    config = GuardConfig(metric=metric, margin=0.05)
    many, few = (
        gather(make_row(False, f"p{at}", **given) for at in range(200)) for given in (worse, better)
    )
    assert check(config, many, few).passed
    assert check(config, few, many).verdict == "refused"


@pytest.mark.parametrize(("tokens", "verdict"), [(108, "passed"), (125, "refused")])
def test_the_margin_of_a_length_is_a_share_of_the_incumbents(tokens: int, verdict: str) -> None:
    config = GuardConfig(metric="length", margin=0.1)
    before = {at: 50 + at for at in range(101)}
    lengths = [before, {at: round(count * tokens / 100) for at, count in before.items()}]
    sides = [
        gather(make_row(True, f"p{at}", num_tokens=count) for at, count in side.items())
        for side in lengths
    ]
    found = check(config, *sides)
    assert found.verdict == verdict
    assert f"length 100 -> {tokens} tokens" in found.reason
    assert found.reason.endswith("for 20 % more")


def test_the_share_in_the_language_is_watched_where_it_can_be_told() -> None:
    english = "We add the two numbers and then divide the sum by three to get the answer."
    german = "Wir addieren die beiden Zahlen und teilen dann die Summe durch drei."
    config = GuardConfig(metric="language")
    before, after = (
        gather((make_row(True, f"p{at}", completion=text) for at in range(100)), "en")
        for text in (english, german)
    )
    assert check(config, before, before).passed
    assert check(config, before, after).verdict == "refused"
    unasked = side(100)
    assert (
        "no problem says anything of share in the language"
        in check(config, unasked, unasked).reason
    )


def test_pass_at_k_falls_where_the_mean_does_not() -> None:
    """Half of all completions right: once spread over all problems, once on half of them."""
    spread: Groups = [[True, False, True, False]] * 200
    collapsed: Groups = [[True] * 4] * 100 + [[False] * 4] * 100
    accuracy = check(GuardConfig(margin=0.15), answered(spread), answered(collapsed))
    at_four = check(GuardConfig(metric="pass_at_k", k=4), answered(spread), answered(collapsed))
    assert accuracy.passed
    assert at_four.verdict == "refused"
    assert "pass@4 100.0 -> 50.0 %" in at_four.reason


def test_k_is_at_most_what_was_drawn_and_the_reason_names_it() -> None:
    equal: Groups = [[True, False]] * 300
    found = check(GuardConfig(metric="maj_at_k", k=32), answered(equal), answered(equal))
    assert "maj@2 " in found.reason


def test_a_dead_engine_is_no_shorter_answer() -> None:
    """What was never made has no length: where half the candidate's is missing, nothing passes."""
    rows = [make_row(True, f"p{at}", num_tokens=100) for at in range(100)]
    from dataclasses import replace

    gone = [replace(dead(), problem_id=f"p{at}") for at in range(50)]
    config = GuardConfig(metric="length", margin=0.1)
    found = check(config, gather(rows), gather(gone + rows[50:]))
    assert found.verdict == "refused"
    assert "50 of the candidate's 100 completions" in found.reason


def test_a_verdict_is_plain_numbers() -> None:
    values = np.array([1.0, 0.5, 0.0, 1.0])
    told = json.loads(json.dumps(asdict(judge("g", GuardConfig(), Watched(values, values)))))
    assert (told["n"], told["difference"]) == (4, 0.0)


def test_one_problem_proves_nothing() -> None:
    found = judge("g", GuardConfig(), Watched(np.ones(1), np.ones(1)))
    assert (found.verdict, found.se) == ("underpowered", None)
