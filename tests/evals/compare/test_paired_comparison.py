"""Two policies on the same problems: held to SciPy, to published numbers, and to the None rule."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import stats

from evals.attempts import Attempt, ProblemAttempts
from evals.compare.paired_comparison import compare
from ratchet.generation.engine import PROMPT_TOO_LONG

Side = dict[str, ProblemAttempts]


def make_problem(*correct: bool | None, reason: str = "made") -> ProblemAttempts:
    attempts = [
        Attempt(
            correct=each,
            answer="1",
            reason=reason,
            finish_reason="stop",
            num_tokens=1,
            logprob=None,
            in_language=None,
        )
        for each in correct
    ]
    return ProblemAttempts(level=None, subject=None, attempts=attempts)


def make_side(problems: Sequence[Sequence[bool | None]]) -> Side:
    return {f"p{at:04}": make_problem(*correct) for at, correct in enumerate(problems)}


def drawn(
    seed: int, n: int, k: int, gain: float = 0.0
) -> tuple[list[list[bool]], list[list[bool]]]:
    """Correlated sides: each problem has a chance of its own, and B `gain` more of it."""
    rng = random.Random(seed)
    chances = [rng.random() for _ in range(n)]

    def answers(chance: float) -> list[bool]:
        return [rng.random() < chance for _ in range(k)]

    return [answers(c) for c in chances], [answers(min(1, c + gain)) for c in chances]


def means(problems: Sequence[Sequence[bool]]) -> np.ndarray:
    return np.array([sum(each) / len(each) for each in problems])


def test_several_completions_are_compared_as_scipys_paired_t_test_does() -> None:
    a, b = drawn(seed=1, n=80, k=4, gain=0.1)
    found = compare(make_side(a), make_side(b))
    wanted = stats.ttest_rel(means(b), means(a))
    interval = wanted.confidence_interval(0.95)
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.n, found.k, found.test) == (80, 4, "paired t")
    assert (found.a, found.b) == pytest.approx((means(a).mean(), means(b).mean()))


def test_one_completion_is_compared_by_mcnemars_mid_p() -> None:
    """12 gained, 3 lost of 40: the two tails of a fair coin, half of what was seen on each."""
    a = [[False]] * 12 + [[True]] * 3 + [[True]] * 20 + [[False]] * 5
    b = [[True]] * 12 + [[False]] * 3 + [[True]] * 20 + [[False]] * 5
    found = compare(make_side(a), make_side(b))
    exact = stats.binomtest(12, 15).pvalue
    assert found.test == "McNemar"
    assert found.p == pytest.approx(exact - stats.binom(15, 0.5).pmf(12))
    assert (found.gained, found.lost) == (12, 3)
    assert found.difference == pytest.approx(9 / 40)


def test_sides_change_places_with_the_sign() -> None:
    a, b = map(make_side, drawn(seed=2, n=60, k=2, gain=0.2))
    there, back = compare(a, b), compare(b, a)
    assert there.verdict == "better"
    assert back.verdict == "worse"
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert back.p == pytest.approx(there.p)
    assert (back.gained, back.lost) == (there.lost, there.gained)


def test_two_draws_of_one_policy_are_told_apart_at_the_stated_rate() -> None:
    """300 A/A comparisons: the nominal 5 %, with room for three standard errors."""
    told = 0
    for seed in range(300):
        a, b = drawn(seed, n=60, k=4)
        told += compare(make_side(a), make_side(b)).verdict != "cannot tell"
    assert told <= 300 * 0.05 + 3 * (300 * 0.05 * 0.95) ** 0.5


def test_a_policy_against_itself_is_no_difference_but_no_certainty() -> None:
    side = make_side([[True], [False], [True]] * 20)
    found = compare(side, side)
    assert (found.difference, found.p, found.verdict) == (0, 1, "cannot tell")
    assert found.low == -found.high < 0
    assert (found.needs_problems, found.needs_for_two_points) == (None, None)
    assert found.sentence == "cannot tell B from A: +0.0 points [-4.9, +4.9], p=1"


def test_equal_differences_have_no_spread_and_are_tested_by_their_signs() -> None:
    found = compare(make_side([[False, False]] * 3), make_side([[True, True]] * 3))
    assert found.p == pytest.approx(0.25)
    assert found.verdict == "cannot tell"


def test_what_could_not_be_graded_is_counted_both_ways() -> None:
    """B's 20 open answers could be all wrong or all right: the interval covers both worlds."""
    a = [[False]] * 60 + [[True]] * 40
    b: list[list[bool | None]] = [[None]] * 20 + [[False]] * 40 + [[True]] * 40
    found = compare(make_side(a), make_side(b))
    right = compare(make_side(a), make_side([[True]] * 20 + b[20:]))
    wrong = compare(make_side(a), make_side([[False]] * 20 + b[20:]))
    assert right.verdict == "better"
    assert found.verdict == "cannot tell"
    assert (found.low, found.high) == (wrong.low, right.high)
    assert found.difference == pytest.approx((wrong.difference + right.difference) / 2)
    assert (found.gained, found.unscored_b, found.unscored_a) == (0, 20, 0)


def test_an_open_answer_is_no_gain_no_loss_and_no_regression() -> None:
    found = compare(make_side([[True], [True], [None]]), make_side([[False], [None], [False]]))
    assert [each.problem_id for each in found.discordant] == ["p0000"]
    assert found.regressions == ("p0000",)


def test_regressions_are_what_most_of_as_completions_solve_and_most_of_bs_do_not() -> None:
    a = make_side([[True, True], [True, True], [True, False]])
    b = make_side([[True, False], [True, True], [False, False]])
    found = compare(a, b)
    assert found.regressions == ("p0000",)
    assert [each.problem_id for each in found.discordant] == ["p0000", "p0002"]
    assert found.discordant[0].b == 0.5


def test_prompts_without_room_on_both_sides_are_left_out_and_on_one_are_open() -> None:
    a, b = make_side([[True], [False], [True]]), make_side([[True], [False], [True]])
    gone = make_problem(None, reason=PROMPT_TOO_LONG)
    both = compare({**a, "q": gone}, {**b, "q": gone})
    one = compare({**a, "q": make_problem(True)}, {**b, "q": gone})
    assert (both.n, both.left_out, both.difference) == (3, 1, 0)
    assert (one.n, one.left_out, one.unscored_b) == (4, 0, 1)
    assert one.difference == -0.125


def test_the_stated_number_of_problems_sees_the_difference_four_times_in_five() -> None:
    """By brute force: the pilot's problems, drawn again as often as it asks for."""
    a, b = drawn(seed=5, n=2_000, k=2, gain=0.06)
    pilot = compare(make_side(a), make_side(b))
    needed = pilot.needs_problems
    assert needed is not None
    differences = means(b) - means(a)
    rng = np.random.default_rng(0)
    samples = rng.choice(differences, size=(2_000, needed))
    power = float(np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05))
    assert power == pytest.approx(0.8, abs=0.04)


def test_one_problem_says_nothing() -> None:
    found = compare(make_side([[False]]), make_side([[True]]))
    assert found.low < 0 < found.high
    assert (found.verdict, found.needs_problems) == ("cannot tell", None)


@pytest.mark.parametrize(
    ("b", "said"),
    [
        ({"p0000": make_problem(True)}, "1 problems were answered by one side alone"),
        (
            {i: make_problem(None, reason=PROMPT_TOO_LONG) for i in ("p0000", "p0001")},
            "no problem was asked",
        ),
    ],
)
def test_what_cannot_be_paired_is_refused(b: Mapping[str, ProblemAttempts], said: str) -> None:
    a = make_side([[True], [False]]) if len(b) == 1 else b
    with pytest.raises(ValueError, match=said):
        compare(a, b)


def test_the_sentence_gives_the_numbers() -> None:
    a, b = map(make_side, drawn(seed=2, n=300, k=4, gain=0.2))
    better = compare(a, b, names=("base", "iteration 2"))
    assert better.sentence.startswith("iteration 2 is better than base by ")
    assert f"p={better.p:.2g}" in better.sentence
    a, b = map(make_side, drawn(seed=2, n=40, k=1))
    told = compare(a, b)
    assert f"about {told.needs_problems:,} problems to see a difference of this size" in (
        told.sentence
    )
