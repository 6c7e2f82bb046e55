import re
import subprocess
import sys
from collections import Counter

import pytest

from ratchet.problems.arithmetic import LEVELS, SHARES, Limits, generate
from ratchet.problems.arithmetic.chains import SMALLEST, apply, draw_chain
from ratchet.problems.arithmetic.generate import _rng
from ratchet.problems.arithmetic.links import LINKS
from ratchet.problems.arithmetic.openings import OPENINGS
from ratchet.problems.arithmetic.words import NAMES, THINGS
from tests.helpers.places import ROOT

EQUATION = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")
SPLITS = tuple(SHARES)
WIDE = Limits(addend=40, quantity=99)


def solve(left: int, operation: str, right: int) -> int:
    if operation == "/":
        assert left % right == 0, f"{left}/{right} is no whole number"
        return left // right
    return {"+": left + right, "-": left - right, "*": left * right}[operation]


def draw_keys(split: str, seed: int, limits: Limits, size: int = 1500) -> set[str]:
    """Abstract problems, drawn the way `generate` draws them."""
    rng = _rng(split, seed)
    keys = set()
    while len(keys) < size:
        chain = draw_chain(rng, 1 + len(keys) % 6, limits)
        if chain.bucket in SHARES[split]:
            keys.add(chain.key)
    return keys


def undressed(problem: str) -> str:
    """The problem without its names and things."""
    for word in sorted([*NAMES, *THINGS], key=len, reverse=True):
        problem = re.sub(rf"\b{word}\b", "_", problem)
    return problem


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_arguments_give_the_same_problems(split):
    assert generate(split, 60, LEVELS, 3) == generate(split, 60, LEVELS, 3)


def test_another_process_with_another_hash_seed_gives_the_same_problems():
    code = (
        "from ratchet.problems.arithmetic import generate;"
        "print('\\n'.join(p.problem for p in generate('dev', 40, [1, 4], 7)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.splitlines() == [p.problem for p in generate("dev", 40, [1, 4], 7)]


def test_another_seed_gives_other_problems():
    first = {p.problem for p in generate("train", 200, LEVELS, 0)}
    assert len(first & {p.problem for p in generate("train", 200, LEVELS, 1)}) < 10


def test_a_smaller_size_gives_the_first_problems():
    assert generate("test", 100, (1, 2, 3), 0)[:30] == generate("test", 30, (1, 2, 3), 0)


def test_problems_and_their_ids_are_unique():
    problems = generate("train", 3000, (1, 2, 3), 0)
    assert len({p.problem for p in problems}) == 3000
    assert len({p.problem_id for p in problems}) == 3000
    assert problems[123].problem_id == "arith-train-0-000123"


def test_rows_say_where_they_come_from():
    problem = generate("dev", 5, [2], 4)[4]
    assert (problem.source, problem.split, problem.level) == ("arithmetic", "dev", 2)


def test_levels_take_turns():
    levels = [p.level for p in generate("dev", 7, [3, 1], 0)]
    assert levels == [3, 1, 3, 1, 3, 1, 3]


@pytest.mark.parametrize("level", LEVELS)
def test_solutions_hold_and_lead_to_the_reference_answer_in_as_many_steps_as_the_level(level):
    for problem in generate("train", 300, [level], 0):
        equations = EQUATION.findall(problem.solution)
        results = [solve(int(a), operation, int(b)) for a, operation, b, _ in equations]
        assert results == [int(result) for *_, result in equations], problem
        assert len(equations) == level
        # Each step goes on from the one before.
        assert [int(a) for a, *_ in equations[1:]] == results[:-1]
        assert problem.solution.endswith(rf"\boxed{{{problem.reference_answer}}}")
        assert str(results[-1]) == problem.reference_answer


@pytest.mark.parametrize("limits", [Limits(), WIDE])
def test_numbers_stay_within_the_limits(limits):
    for problem in generate("test", 600, LEVELS, 0, limits):
        for first, operation, number, result in EQUATION.findall(problem.solution):
            assert SMALLEST <= int(first) <= limits.quantity
            assert SMALLEST <= int(result) <= limits.quantity
            if operation in "+-":
                assert int(number) <= limits.addend


def test_texts_have_no_unfilled_slots():
    for problem in generate("seed", 1200, LEVELS, 0):
        assert not re.search(r"[{}]", problem.problem)
        assert "  " not in problem.problem
        assert problem.problem.endswith(("?", "."))


def test_every_name_and_every_wording_of_a_step_is_distinct():
    steps = [*OPENINGS, *LINKS]
    assert len({step.name for step in steps}) == len(steps) >= 30
    tellings = [telling for step in steps for telling in step.tellings]
    assert len(set(tellings)) == len(tellings) >= 60


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_is_told_in_many_ways(level):
    rng = _rng("dev", 0)
    plots = Counter(
        tuple(step.name for step in draw_chain(rng, level, Limits()).steps) for _ in range(2000)
    )
    assert len(plots) >= 15
    assert plots.most_common(1)[0][1] < 2000 / 10


def test_every_step_is_used():
    rng = _rng("dev", 0)
    used = {step.name for _ in range(3000) for step in draw_chain(rng, 4, Limits()).steps}
    assert used == {step.name for step in (*OPENINGS, *LINKS)}


def test_a_step_never_changes_the_unit_behind_the_next_ones_back():
    rng = _rng("dev", 0)
    for _ in range(500):
        steps = draw_chain(rng, 6, Limits()).steps
        assert [s.before for s in steps] == [None, *(s.after for s in steps[:-1])]


def test_apply_is_the_step_s_own_arithmetic():
    by_operation = {step.operation: step for step in OPENINGS}
    values = {o: apply(by_operation[o], 12, 3) for o in "+-*/"}
    assert values == {"+": 15, "-": 9, "*": 36, "/": 4}


def test_splits_share_no_abstract_problem_whatever_the_seeds_and_limits():
    draws = [(seed, limits) for seed in (0, 99) for limits in (Limits(), WIDE)]
    keys = {split: set().union(*(draw_keys(split, *draw) for draw in draws)) for split in SPLITS}
    for i, split in enumerate(SPLITS):
        for other in SPLITS[i + 1 :]:
            assert not keys[split] & keys[other]


def test_splits_share_no_problem_even_under_other_names():
    # The equations and the steps decide the split, so names can't smuggle a problem across.
    texts = {
        split: {undressed(p.problem) for seed in (0, 5) for p in generate(split, 900, (1, 2), seed)}
        for split in SPLITS
    }
    for i, split in enumerate(SPLITS):
        for other in SPLITS[i + 1 :]:
            assert not texts[split] & texts[other]


def test_shares_cover_every_bucket_once():
    assert sorted(bucket for share in SHARES.values() for bucket in share) == list(range(100))


@pytest.mark.parametrize("levels", [[], [0], [7], [1, 2, 9]])
def test_levels_out_of_range_are_refused(levels):
    with pytest.raises(ValueError, match="number of steps from 1 to 6"):
        generate("dev", 10, levels, 0)


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match="size=0"):
        generate("dev", 0, [1], 0)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="'valid' does not exist; use one of train, dev"):
        generate("valid", 10, [1], 0)


def test_more_problems_than_there_are_is_refused():
    with pytest.raises(ValueError, match="no new 1-step problem left"):
        generate("seed", 100_000, [1], 0)
