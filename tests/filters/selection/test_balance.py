import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.selection.balance import Supply, plan_targets
from filters.selection.config import SftSelection

supplies = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3),
    st.tuples(st.integers(0, 12), st.integers(0, 10)).map(
        lambda pair: Supply(pair[0], pair[1] / 10 if pair[0] else 1.0)
    ),
    max_size=12,
)
configs = st.builds(
    SftSelection,
    balance=st.sampled_from(["none", "uniform", "prop2diff"]),
    max_per_problem=st.integers(1, 10),
    max_rows=st.none() | st.integers(1, 60),
)


@given(supplies=supplies, config=configs, seed=st.integers(0, 9))
def test_no_target_exceeds_the_cap_the_supply_or_the_budget(
    supplies: dict[str, Supply], config: SftSelection, seed: int
) -> None:
    targets = plan_targets(supplies, config, seed)
    assert targets == plan_targets(supplies, config, seed)
    assert targets.keys() == supplies.keys()
    for name, target in targets.items():
        assert 0 <= target <= min(config.max_per_problem, supplies[name].rows)
    if config.max_rows:
        assert sum(targets.values()) <= config.max_rows


@given(supplies=supplies, config=configs, seed=st.integers(0, 9))
def test_uniform_targets_differ_by_one_at_most_where_supply_allows(
    supplies: dict[str, Supply], config: SftSelection, seed: int
) -> None:
    config = config.model_copy(update={"balance": "uniform"})
    targets = plan_targets(supplies, config, seed)
    wanting = [
        t for name, t in targets.items() if t < min(config.max_per_problem, supplies[name].rows)
    ]
    if wanting:
        # Whoever could have more is at most one row behind the best.
        assert max(targets.values()) - min(wanting) <= 1
        assert sum(targets.values()) == config.max_rows


@given(supplies=supplies, cap=st.integers(1, 10))
def test_prop2diff_is_the_formula(supplies: dict[str, Supply], cap: int) -> None:
    config = SftSelection(balance="prop2diff", max_per_problem=cap)
    worst = max((s.fail_rate for s in supplies.values() if s.rows), default=0)
    for name, target in plan_targets(supplies, config, 0).items():
        supply = supplies[name]
        exact = cap * supply.fail_rate / worst if worst else 0
        expected = math.ceil(round(exact, 9))
        assert target == min(expected, supply.rows)


def test_prop2diff_gives_the_hard_problems_more() -> None:
    supplies = {"easy": Supply(8, 0.1), "hard": Supply(8, 0.8), "always": Supply(8, 0.0)}
    config = SftSelection(balance="prop2diff", max_per_problem=8)
    assert plan_targets(supplies, config, 0) == {"easy": 1, "hard": 8, "always": 0}


def test_without_balance_a_budget_is_drawn_from_all_rows_alike() -> None:
    supplies = {"many": Supply(9, 0.1), "few": Supply(3, 0.7)}
    config = SftSelection(max_per_problem=20, max_rows=4)
    drawn: Counter[str] = Counter()
    for seed in range(2000):
        drawn.update(plan_targets(supplies, config, seed))
    assert drawn["many"] / drawn["few"] == pytest.approx(3, rel=0.1)
