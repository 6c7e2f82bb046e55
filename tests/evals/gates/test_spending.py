import itertools
import math

import pytest

from evals.config import McNemarGate, PairedGate
from evals.gates.spending import level_of, spend_of


def levels(promoted: list[bool], planned: int = 5) -> list[float]:
    """The level of each decision of a run, given which of them promote."""
    found: list[float] = []
    before = None
    for number, won in enumerate(promoted, 1):
        found.append(level_of(number, 0.05, "planned", planned, before))
        before = (found[-1], won)
    return found


def test_without_promotions_the_planned_decisions_share_alpha_evenly() -> None:
    assert levels([False] * 7) == pytest.approx([0.01] * 5 + [0.0] * 2)


def test_a_promotion_hands_its_level_on() -> None:
    assert levels([True, True, False, False, True, True]) == pytest.approx(
        [0.01, 0.02, 0.03, 0.01, 0.01, 0.01]
    )


@pytest.mark.parametrize("promoted", list(itertools.product([False, True], repeat=5)))
def test_the_decisions_that_did_not_promote_never_spend_more_than_alpha(
    promoted: tuple[bool, ...],
) -> None:
    """Whatever came of the true ones: what chance could promote sums to alpha at most."""
    spent = [level for level, won in zip(levels(list(promoted)), promoted, strict=True) if not won]
    assert sum(spent) <= 0.05 + 1e-12


def test_an_open_schedule_never_ends_and_sums_to_alpha() -> None:
    shares = [level_of(t, 0.05, "open", 5, (0.1, False) if t > 1 else None) for t in range(1, 5000)]
    assert shares[0] == pytest.approx(0.05 * 6 / math.pi**2)
    assert shares[3] == pytest.approx(shares[0] / 16)
    assert 0.0499 < sum(shares) < 0.05


def test_a_later_decision_must_know_the_one_before() -> None:
    with pytest.raises(ValueError, match="each knows the last"):
        level_of(2, 0.05, "planned", 5, None)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_looks_share_the_level_and_no_more(count: int) -> None:
    spend = spend_of(PairedGate(looks=tuple(range(1, count + 1))), tuple(range(1, count + 1)))
    assert len(spend) == count
    assert sum(spend) == pytest.approx(1.0)
    assert spend[-1] == max(spend)


def test_a_spend_of_ones_own_is_taken_but_where_the_looks_are_others() -> None:
    gate = PairedGate(spend=(0.2, 0.3, 0.5))
    assert spend_of(gate, (2, 4, 8)) == (0.2, 0.3, 0.5)
    assert spend_of(gate, (1,)) == spend_of(McNemarGate(), (1,)) == (1.0,)
