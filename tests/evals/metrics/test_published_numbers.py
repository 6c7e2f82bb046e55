"""inspect_ai#4206: GPQA Diamond, 198 problems with 5 completions by each of two models.

Published: 67.6 % and 61.7 %; paired +5.9 points [0.4, 11.3], p=.0363; unpaired [-2.1, 13.8],
p=.1486; pairing cuts the variance 2.1 times; one model's error is 1.85 and 1.92 times that of 990
independent completions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from evals.attempts import ProblemAttempts, gather, measure
from evals.config import EvalConfig
from evals.metrics.intervals import Interval, t_interval
from evals.metrics.paired_tests import difference_interval, paired_t
from evals.summary import metrics_of
from tests.helpers.graded import make_row
from tests.helpers.published import gpqa_right_of_5

RIGHT = list(gpqa_right_of_5())


def problems(model: int) -> dict[str, ProblemAttempts]:
    return gather(
        make_row(attempt < right[model], f"p{at}")
        for at, right in enumerate(RIGHT)
        for attempt in range(5)
    )


def means(model: int) -> list[float]:
    """Each problem's mean, as an eval's rows give it."""
    measured = [measure(problem, "accuracy") for problem in problems(model).values()]
    return [bounds.low for bounds in measured if bounds]


def error(values: Sequence[float]) -> float:
    """Standard error of the mean, from the half of an interval (by the normal quantile)."""
    found = t_interval(values, confidence=math.erf(1 / math.sqrt(2)))
    return (found.high - found.low) / 2


def points(interval: Interval) -> list[float]:
    return [round(100 * end, 1) for end in (interval.low, interval.high)]


NANO, MINI = means(0), means(1)
DIFFERENCES = [nano - mini for nano, mini in zip(NANO, MINI, strict=True)]


def test_both_accuracies() -> None:
    for model, accuracy in enumerate((0.676, 0.617)):
        metrics = metrics_of(problems(model), EvalConfig())
        assert (metrics["n"], metrics["k"]) == (198, 5)
        assert metrics["mean"] == pytest.approx(accuracy, abs=5e-4)


def test_the_paired_interval_and_its_p() -> None:
    """A two-sided p is where the interval of that confidence ends at zero."""
    assert np.mean(DIFFERENCES) == pytest.approx(0.059, abs=5e-4)
    assert points(t_interval(DIFFERENCES)) == [0.4, 11.3]
    assert t_interval(DIFFERENCES, 1 - 0.03625).low < 0 < t_interval(DIFFERENCES, 1 - 0.03635).low


def test_the_gate_s_test_gives_the_published_p() -> None:
    """One-sided, as only a gain promotes: half of the published p."""
    found = paired_t(DIFFERENCES)
    assert found.p == pytest.approx(0.0363 / 2, abs=5e-5)
    assert points(difference_interval(DIFFERENCES)) == [0.4, 11.3]


def test_without_pairing_the_same_numbers_say_nothing() -> None:
    from scipy.stats import ttest_ind

    unpaired = ttest_ind(NANO, MINI, equal_var=False)
    ends = unpaired.confidence_interval(0.95)
    assert unpaired.pvalue == pytest.approx(0.1486, abs=5e-5)
    assert points(Interval(ends.low, ends.high)) == [-2.1, 13.8]
    pairing = (error(NANO) ** 2 + error(MINI) ** 2) / error(DIFFERENCES) ** 2
    assert pairing == pytest.approx(2.1, abs=0.05)


@pytest.mark.parametrize(("model", "times"), [(0, 1.85), (1, 1.92)])
def test_completions_of_one_problem_are_not_independent(model: int, times: float) -> None:
    alone = [float(at < right[model]) for right in RIGHT for at in range(5)]
    assert error(means(model)) / error(alone) == pytest.approx(times, abs=0.01)
