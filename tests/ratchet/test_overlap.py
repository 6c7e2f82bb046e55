import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ratchet.overlap import find_overlaps
from ratchet.records import Problem

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
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


def test_ngrams_must_come_from_one_problem() -> None:
    words = LONG.split()
    halves = make_problems(" ".join(words[:12]), " ".join(words[5:]))
    assert find_overlaps(halves, make_problems(LONG), threshold=0.8) == []


def test_decimal_numbers_are_one_word() -> None:
    assert find_overlaps(make_problems("It is 1.5 long"), make_problems("It is 1 5 long")) == []


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        find_overlaps([], [], threshold=0.0)


def test_gsm8k_train_and_test_do_not_overlap_and_are_compared_in_seconds() -> None:
    sets = []
    for split in ("train", "test"):
        path = DATA / f"gsm8k_{split}.parquet"
        if not path.exists():
            pytest.skip(f"{path} is not there")
        rows = pq.read_table(path).to_pylist()
        sets.append(make_problems(*(row["question"] for row in rows), prefix=split))
    started = time.process_time()
    assert find_overlaps(*sets) == []
    assert time.process_time() - started < 3
