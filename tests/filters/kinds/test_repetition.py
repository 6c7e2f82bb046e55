from pathlib import Path

import pyarrow.parquet as pq

from filters.kinds.repetition import Repetition, RepetitionConfig
from tests.helpers.judged import CONTEXT, make_completion, make_problem

PLAIN = (
    "Ann has three apples and buys twice as many pears at the market on Friday. "
    "Then her brother eats two of each, so that she has one apple and four pears left, "
    "which makes five pieces of fruit in all."
)


def reason(text: str) -> str:
    rule = Repetition(RepetitionConfig(), CONTEXT)
    return rule.mark(make_problem(), make_completion(text)).reason


def test_a_plain_text_is_varied() -> None:
    assert reason(PLAIN) == "varied"


def test_loops_of_words_lines_and_letters_are_caught() -> None:
    assert reason("we add one and get two, so " * 20) == "repeated_ngrams"
    lines = "".join(f"{PLAIN.split()[i]} is line {i}\nso\n" for i in range(30))
    assert reason(lines) == "repeated_lines"
    assert reason("ab" * 500) == "compressible"


def test_a_loop_at_the_end_of_a_long_text_is_caught() -> None:
    assert reason(PLAIN + " the answer is" * 60) == "repeated_ngrams"


def test_short_and_empty_texts_are_unscored() -> None:
    assert reason("") == "unscored"
    assert reason("no no no no") == "unscored"


def test_a_megabyte_and_odd_characters_are_handled() -> None:
    assert reason("a " * 500_000) == "repeated_ngrams"
    assert reason("\x00\udfff " * 40) in ("repeated_ngrams", "compressible")


def test_given_solutions_are_not_called_repetitive(shared_data: Path) -> None:
    path = shared_data / "gsm8k_train.parquet"
    answers = pq.read_table(path, columns=["answer"])["answer"].to_pylist()
    rejected = sum(reason(text) not in ("varied", "unscored") for text in answers)
    assert rejected <= 0.001 * len(answers)
