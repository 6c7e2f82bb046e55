import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.problems.overlap import find_overlaps
from ratchet.records import Problem
from ratchet.texts.plain_words import plain_words

LONG = "Tom buys 3 red pens and 4 blue pens in the old shop and pays with a note of 20 dollars"


def make_problems(*texts: str, prefix: str = "p") -> list[Problem]:
    return [
        Problem(problem_id=f"{prefix}{row}", problem=text, reference_answer="1")
        for row, text in enumerate(texts)
    ]


def test_same_text_is_found_whatever_its_case_spacing_and_punctuation() -> None:
    found = find_overlaps(
        make_problems("Other.", "What is  2 + 2?"), make_problems("what is 2+2", prefix="q")
    )
    assert [(o.id_a, o.id_b, o.kind, o.share) for o in found] == [("p1", "q0", "text", 1.0)]


def test_nearly_the_same_words_are_found() -> None:
    found = find_overlaps(make_problems(f"{LONG}. How much is left?"), make_problems(LONG))
    assert [(o.kind, o.share) for o in found] == [("ngram", 1.0)]


def test_one_template_with_other_numbers_is_no_overlap() -> None:
    other = LONG.replace("3", "5").replace("4", "9").replace("20", "50")
    assert find_overlaps(make_problems(LONG), make_problems(other)) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is $2+3$?", "What is $2-3$?"),
        ("Solve $x<3$ for $x$.", "Solve $x>3$ for $x$."),
        ("What is the value of $-5$?", "What is the value of $5$?"),
        (r"Solve $x \leq 3$ for $x$.", "Solve $x < 3$ for $x$."),
        ("Compute $2^3$ now", r"Compute $2 \cdot 3$ now"),
        (r"Compute $\frac{2}{3}$ now", r"Compute $2 \cdot 3$ now"),
        (
            "What is the smallest $n$ such that all the roots of $z^4 - z^2 + 1 = 0$ are found?",
            "What is the smallest $n$ such that all the roots of $z^4 + z^2 + 1 = 0$ are found?",
        ),
    ],
)
def test_other_signs_are_another_problem(one: str, other: str) -> None:
    assert find_overlaps(make_problems(one), make_problems(other)) == []
    assert find_overlaps(make_problems(one), make_problems(one)) != []


@pytest.mark.parametrize(
    "spelling",
    [
        "Tom has twenty-five pens\u00a0and \u200bbuys\n2 more; is 27 > 25.0?",
        r"TOM has $25$ pens and buys \textbf{two} more; is $27\gt 25$",
        "Tom has 25 pens and buys two more; is twenty seven ＞ 25?",
    ],
)
def test_number_words_odd_spacing_and_latex_are_seen_through(spelling: str) -> None:
    (found,) = find_overlaps(
        make_problems("Tom has 25 pens and buys 2 more; is 27 > 25?"), make_problems(spelling)
    )
    assert (found.kind, found.share) == ("text", 1.0)


def test_a_short_problem_in_a_long_one_is_found_whichever_set_it_is_in() -> None:
    short = make_problems("Red pens cost 3 dollars. How many can Tom buy?", "Solve $x+2=3$.")
    long = make_problems(
        f"{LONG}. Red pens cost 3 dollars. How many can Tom buy? Say how, and then tell Ann.",
        "First think of a number. Now solve $x + 2 = 3$ with it, and tell your friends why so.",
        prefix="q",
    )
    found = [(o.id_a, o.id_b, o.kind, o.share) for o in find_overlaps(short, long)]
    assert found == [("p0", "q0", "ngram", 1.0), ("p1", "q1", "ngram", 1.0)]
    turned = [(o.id_a, o.id_b, o.kind, o.share) for o in find_overlaps(long, short)]
    assert turned == [("q0", "p0", "ngram", 1.0), ("q1", "p1", "ngram", 1.0)]


def test_every_problem_of_the_first_set_that_overlaps_is_told_once() -> None:
    twins = make_problems(LONG, LONG.upper(), "Something else altogether is asked for here.")
    found = find_overlaps(twins, make_problems(LONG, LONG, prefix="q"))
    assert [(o.id_a, o.id_b) for o in found] == [("p0", "q0"), ("p1", "q0")]


def test_ngrams_must_come_from_one_problem() -> None:
    words = LONG.split()
    more = "and so on until nothing at all is left of what there was before it"
    halves = make_problems(" ".join(words[:12]) + more, more + " ".join(words[5:]))
    assert find_overlaps(halves, make_problems(LONG), threshold=0.8) == []


def test_decimal_numbers_are_one_word() -> None:
    assert find_overlaps(make_problems("It is 1.5 long"), make_problems("It is 1 5 long")) == []


@settings(max_examples=80, deadline=None)
@given(*[st.lists(st.text("ab +", max_size=14), max_size=4)] * 2)
def test_overlaps_are_those_of_brute_force_in_both_directions(
    texts_a: list[str], texts_b: list[str]
) -> None:
    a, b = make_problems(*texts_a), make_problems(*texts_b, prefix="q")
    wanted = {
        (one.problem_id, other.problem_id)
        for one in a
        for other in b
        if is_held(one.problem, other.problem) or is_held(other.problem, one.problem)
    }
    found = {(o.id_a, o.id_b) for o in find_overlaps(a, b, ngram=3, threshold=0.7)}
    assert found <= wanted
    assert {id_a for id_a, _ in found} == {id_a for id_a, _ in wanted}
    turned = find_overlaps(b, a, ngram=3, threshold=0.7)
    assert {o.id_a for o in turned} == {id_b for _, id_b in wanted}


def is_held(problem: str, text: str) -> bool:
    """The measure in few words, for 3-grams and a threshold of 0.7."""
    wanted, words = plain_words(problem), plain_words(text)
    if wanted == words:
        return bool(wanted)
    runs = {tuple(wanted[at : at + 3]) for at in range(len(wanted) - 2)}
    held = runs & {tuple(words[at : at + 3]) for at in range(len(words) - 2)}
    return bool(runs) and len(held) >= max(0.7 * len(runs) - 1e-9, min(len(runs), 3))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        find_overlaps([], [], threshold=0.0)


def real_problems(data: Path, name: str, column: str, prefix: str) -> list[Problem]:
    rows = pq.read_table(data / name).column(column).to_pylist()
    return make_problems(*rows, prefix=prefix)


def test_gsm8k_train_and_test_do_not_overlap_and_are_compared_in_seconds(shared_data: Path) -> None:
    train = real_problems(shared_data, "gsm8k_train.parquet", "question", "train")
    test = real_problems(shared_data, "gsm8k_test.parquet", "question", "test")
    started = time.process_time()
    assert find_overlaps(train, test) == []
    assert time.process_time() - started < 3


def test_maths_natural_near_duplicates_are_one_in_a_hundred(shared_data: Path) -> None:
    train = real_problems(shared_data, "math_train.parquet", "problem", "train")
    test = real_problems(shared_data, "math_test.parquet", "problem", "test")
    assert 70 <= len(find_overlaps(train, test)) <= 90
