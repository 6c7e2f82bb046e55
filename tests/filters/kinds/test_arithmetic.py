import random
import re
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from filters.base import MAX_NOTE_CHARS, CompletionFilter, Mark
from filters.kinds.arithmetic import Arithmetic, ArithmeticConfig
from tests.helpers.judged import CONTEXT, make_completion, make_problem
from tests.helpers.places import SHARED_DATA

NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+")
MARK = re.compile(r"<<(.*?)>>")
EQUATION_IN_MARK = re.compile(r"(?<=<<).*?(?=>>)")
TERM = r"[$(]*(?:\d[\d,]*(?:\.\d+)?|\.\d+)[%)]*(?: [a-z]+){0,2}(?:/[a-z]+)?"
EQUATION = re.compile(rf"(?:{TERM}\s?[-+*/x×÷]\s?)+{TERM}\s?=\s?\$?(?:\d[\d,]*\d|\d)(?:\.\d+)?")
"""The tests' own idea of an equation, which owes nothing to the filter's."""


def mark(text: str, **settings: int) -> Mark:
    rule = Arithmetic(ArithmeticConfig.model_validate(settings), CONTEXT)
    return rule.mark(make_problem(), make_completion(text))


def test_it_is_a_completion_filter() -> None:
    assert isinstance(Arithmetic(ArithmeticConfig(), CONTEXT), CompletionFilter)


def test_a_completion_whose_equations_hold_is_accepted() -> None:
    assert mark("2+3=5 and 5*2 = <<5*2=10>>10") == Mark(True, "equations_hold", 1.0)


def test_a_false_equation_rejects_and_is_quoted() -> None:
    found = mark("2+3 = 5 pens, 5 pens * 2 = 11 pens, 1+1=3")
    assert found == Mark(False, "wrong_equation", 1 / 3, "5 pens * 2 = 11 pens")


@pytest.mark.parametrize("text", ["", "The answer is 5.", "2x + 3 = 7", "12 inches = 1 foot"])
def test_without_equations_to_check_a_completion_is_accepted_without_a_reward(text: str) -> None:
    assert mark(text) == Mark(True, "no_equations")


def test_false_equations_can_be_let_pass() -> None:
    assert mark("1+1=3, 2+2=4", max_wrong=1) == Mark(True, "equations_hold", 0.5, "1+1=3")
    assert not mark("1+1=3, 2+2=5", max_wrong=1).accepted


def test_a_long_equation_is_shortened_in_the_note() -> None:
    note = mark("+".join(["1000"] * 50) + " = 7").note
    assert note is not None
    assert len(note) == MAX_NOTE_CHARS


def test_a_negative_bound_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_wrong"):
        ArithmeticConfig(max_wrong=-1)


@pytest.fixture(scope="module")
def solutions() -> list[str]:
    path = SHARED_DATA / "gsm8k_train.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return [row["answer"] for row in pq.read_table(path, columns=["answer"]).to_pylist()]


def without_marks(texts: list[str]) -> list[str]:
    return [MARK.sub("", text) for text in texts]


def altered(number: str, rng: random.Random) -> str:
    """`number` one more, one less, ten times as much, or with another digit."""
    plain = number.replace(",", "")
    decimals = len(plain.partition(".")[2])
    while True:
        at = rng.choice([i for i, sign in enumerate(plain) if sign.isdigit()])
        other = rng.choice([digit for digit in "0123456789" if digit != plain[at]])
        value = float(plain)
        changes = (value + 1, value - 1, value * 10, float(plain[:at] + other + plain[at + 1 :]))
        change = rng.choice(changes)
        if change >= 0 and change != value:
            return f"{change:.{decimals}f}"


def with_one_number_altered(
    texts: list[str], equation: re.Pattern[str], rng: random.Random
) -> Iterator[str]:
    for text in texts:
        equations = list(equation.finditer(text))
        if equations and mark(text).accepted:
            number = rng.choice(list(NUMBER.finditer(text, *rng.choice(equations).span())))
            yield text[: number.start()] + altered(number[0], rng) + text[number.end() :]


def test_gsm8k_solutions_are_clean_with_and_without_their_marks(solutions: list[str]) -> None:
    for texts in (solutions, without_marks(solutions)):
        assert sum(mark(text).accepted for text in texts) / len(texts) >= 0.995


def test_one_altered_number_in_a_mark_is_caught(solutions: list[str]) -> None:
    made = list(with_one_number_altered(solutions, EQUATION_IN_MARK, random.Random(0)))
    assert len(made) > 7000
    assert sum(not mark(text).accepted for text in made) / len(made) >= 0.99


def test_one_altered_number_in_a_solution_without_marks_is_caught(solutions: list[str]) -> None:
    made = list(with_one_number_altered(without_marks(solutions), EQUATION, random.Random(0)))
    assert len(made) > 7000
    assert sum(not mark(text).accepted for text in made) / len(made) >= 0.98
