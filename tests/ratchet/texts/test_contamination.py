import pickle
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.records import Problem
from ratchet.texts.contamination import BenchmarkIndex
from ratchet.texts.number_words import numbers_as_digits
from ratchet.texts.plain_words import plain_words
from tests.helpers.places import ROOT, SHARED_DATA

PROBLEM = (
    "Tom buys 3 red pens and 4 blue pens in the old shop, pays with a note of 20 dollars and then "
    "walks home along the river. How much money does Tom have left?"
)
ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = [".", ".", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def make_problems(*texts: str) -> list[Problem]:
    return [
        Problem(problem_id=f"p{row}", problem=text, reference_answer="1")
        for row, text in enumerate(texts)
    ]


def make_index(*texts: str, **settings: Any) -> BenchmarkIndex:
    return BenchmarkIndex({"test": make_problems(*texts)}, **settings)


def holds(index: BenchmarkIndex, text: str) -> bool:
    match = index.nearest(text)
    return match is not None and match.is_held


def shared_texts(name: str, column: str) -> list[str]:
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    texts: list[str] = pq.read_table(path).column(column).to_pylist()
    return texts


@pytest.fixture(scope="module")
def benchmarks() -> dict[str, list[Problem]]:
    return {
        "gsm8k": make_problems(*shared_texts("gsm8k_test.parquet", "question")),
        "math500": make_problems(*shared_texts("math500.parquet", "problem")),
    }


@pytest.fixture(scope="module")
def index(benchmarks: dict[str, list[Problem]]) -> BenchmarkIndex:
    return BenchmarkIndex(benchmarks)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("twenty-five", "25"),
        ("A hundred and two; one hundred and two hundred", "102 100 and 200"),
        ("one hundred and two thousand; a thousand and two thousand", "102000 1000 and 2000"),
        ("two hundred thousand, three hundred forty-one", "200000 341"),
        ("Nine hundred ninety-nine thousand nine hundred ninety-nine", "999999"),
        ("five six twenty, five", "5 6 20 5"),
        ("2.5 million and 3 hundred", "2500000 and 300"),
        ("one point two five, at this point", "1.25 at this point"),
        ("the twenty-fifth, 25th, second and eleventh", "the 25 th 25 th 2 nd and 11 th"),
        ("a man has zero hundreds", "a man has 0 hundreds"),
        (r"\dfrac{3}{4} = \tfrac34 = \frac{3}{4} = 3/4", "3 /4 =3 /4 =3 /4 =3 /4"),
        (
            r"\frac{x^{2}}{\frac{1}{y_{1}}}, \frac1{2}, \frac ab, {1 \over 2}",
            "x ^2 /1 /y 1 1 /2 ab 1 /2",
        ),
        (r"$\left( x^{2}\,y \right)$ \text{ cm}", "x ^2 y cm"),
        (r"x+y - z, $-5$, a \pm b \mp c", "x +y -z -5 a ±b ∓c"),
        (r"x<3>2\lt 1 \gt 0, 5 > -4", "x <3 >2 <1 >0 5 >-4"),
        ("a <= b ≤ c ⩽ d \\le e \\leqslant f", "a ≤b ≤c ≤d ≤e ≤f"),
        ("a >= b ≥ c \\geq d; a != b ≠ c \\neq d", "a ≥b ≥c ≥d a ≠b ≠c ≠d"),
        ("x → y -> z => w \\to v", "x y z w v"),
        ("6 ÷ 2 = 6/2, 2 × 3 = 2*3 = 2 \\cdot 3", "6 /2 =6 /2 2 3 =2 3 =2 3"),
        ("5!=120, n! + (n-1)! Wow! |x| = 2", "5! =120 n! +n -1! wow |x |=2"),
        ("two-digit x-axis -- pre-1990 3–5 x-y 7−2", "2 digit x axis pre 1990 3 -5 x -y 7 -2"),
        (r"1,234,567 and 10{,}000 and 10,\!000 and 1\,000", "1234567 and 10000 and 10000 and 1000"),
        ("$5.00 is 50% or 50\\%", "5 is 50 percent or 50 percent"),
        ("x² is ½, 3½, 10⁻², x₂ x_2", "x ^2 is 1 /2 3 1 /2 10 ^-2 x 2 x 2"),
        ("ﬁsh ＡＢ１ café cafe\u0301 zero\u200bwidth", "fish ab 1 cafe cafe zerowidth"),
        ("90° = 90^\\circ, √2 = \\sqrt2, π", "90 circ =90 circ sqrt 2 =sqrt 2 pi"),
        ("数学 مرحبا ١٢٣", "数 学 مرحبا 123"),
        ("", ""),
    ],
)
def test_a_text_reads_the_same_in_every_spelling(text: str, words: str) -> None:
    assert plain_words(text) == words.split()


@given(st.integers(0, 999_999), st.booleans())
def test_every_number_reads_back_from_its_words(number: int, with_and: bool) -> None:
    assert plain_words(in_words(number, with_and)) == [str(number)]


@given(st.lists(st.sampled_from([*ONES, *TENS, "hundred", "thousand", "and", "a", "5", "point"])))
def test_no_word_is_lost_among_number_words(words: list[str]) -> None:
    rest = [word for word in numbers_as_digits([*words, "end"]) if not word[0].isdigit()]
    assert rest[-1] == "end"
    assert set(rest) <= {*words, "end"}


def test_a_problem_is_found_inside_a_longer_text() -> None:
    found = make_index("What is something else altogether, my friend?", PROBLEM).nearest(
        f"Let us see. {PROBLEM} We get 6 more."
    )
    assert found is not None
    assert (found.benchmark, found.problem_id, found.share, found.is_held) == (
        "test",
        "p1",
        1.0,
        True,
    )


def test_the_share_is_counted_by_hand() -> None:
    found = make_index("a b c d e f g", ngram=3, threshold=0.5).nearest("x a b c d y e f g z")
    assert found is not None
    assert (found.share, found.is_held) == (3 / 5, True)


def test_a_changed_name_or_word_does_not_hide_a_problem() -> None:
    index = make_index(PROBLEM)
    assert holds(index, PROBLEM.replace("Tom", "Aaliyah"))
    assert holds(index, PROBLEM.replace("river", "lake"))
    assert not holds(index, "Ann sells 5 tickets. How much money does Ann have left?")


def test_a_problem_with_other_signs_is_another() -> None:
    index = make_index(r"What is $17^2 - 4$?", r"Solve $x + 3 < 5$.", "Compute $4!$")
    assert holds(index, r"So, what is \(17^{2}-4\)?")
    assert holds(index, r"We solve x+3 < 5")
    assert not holds(index, "So, what is $17^2 + 4$?")
    assert not holds(index, "We solve $x + 3 > 5$")
    assert not holds(index, "Compute $4$")


def test_all_that_a_text_holds_are_listed() -> None:
    index = make_index("Find x.", PROBLEM, "Something else altogether.", f"{PROBLEM} Or Ann?")
    assert [match.problem_id for match in index.held(PROBLEM)] == ["p1", "p3"]
    assert [match.share for match in make_index("Find x.", "find X").held("FIND x?")] == [1.0, 1.0]
    assert index.held("Nothing of it") == []


def test_ngrams_must_come_from_one_problem() -> None:
    words = PROBLEM.split()
    halves = [
        " ".join([*words[at : at + 8], f"x{at}", *f"{at} y z u v w".split()]) for at in (0, 8)
    ]
    found = make_index(*halves, threshold=0.7).nearest(PROBLEM)
    assert found is not None
    assert not found.is_held


def test_a_short_problem_is_found_word_for_word_only() -> None:
    index = make_index(r"Simplify $\sqrt{242}$.", "Find x.")
    assert holds(index, r"We simplify \sqrt{242} to get 11 roots of two")
    assert not holds(index, r"We simplify \sqrt{243}")
    assert holds(index, "find X")
    assert not holds(index, "Now we find x by trying")


def test_one_common_phrase_is_no_overlap_with_a_short_problem() -> None:
    index = make_index("What is the value of $17^2 - 4$?")
    assert not holds(index, "What is the value of the old car?")
    assert holds(index, "So, what is the value of 17^{2}-4 then?")


def test_nothing_shared_is_no_match() -> None:
    assert make_index(PROBLEM).nearest("Completely unrelated words") is None
    assert make_index().nearest(PROBLEM) is None
    assert make_index("", "?!").nearest("") is None


@pytest.mark.parametrize("settings", [{"ngram": 0}, {"threshold": 0.0}, {"threshold": 1.1}])
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="need ngram >= 1"):
        make_index(PROBLEM, **settings)


def test_another_process_with_other_hash_seeds_finds_the_same(tmp_path: Path) -> None:
    index, file = make_index(PROBLEM), tmp_path / "index"
    file.write_bytes(pickle.dumps(index))
    code = (
        "import pickle, pathlib, sys\n"
        "print(pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()).nearest(sys.argv[2]))"
    )
    text = PROBLEM.replace("Tom", "Ann")
    for seed in "01":
        answer = subprocess.run(
            [sys.executable, "-c", code, str(file), text],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        )
        assert answer.stdout.strip() == str(index.nearest(text))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab c", max_size=30), max_size=5), st.text("ab c", max_size=60))
def test_shares_equal_brute_force(texts: list[str], text: str) -> None:
    found = make_index(*texts, ngram=3, threshold=0.6).nearest(text)
    best = max((brute_force_share(problem, text) for problem in texts), default=0.0)
    if found is not None and found.is_held:
        assert brute_force_share(texts[int(found.problem_id[1:])], text) == found.share
    assert (found.share if found else 0.0) <= best


def brute_force_share(problem: str, text: str) -> float:
    wanted, words = problem.split(), text.split()
    if wanted == words:
        return float(bool(wanted))
    size = min(3, len(wanted))
    if size < 3:
        return 0.0
    runs = {tuple(wanted[at : at + size]) for at in range(len(wanted) - size + 1)}
    held = {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}
    return len(runs & held) / len(runs)


def in_words(number: int, with_and: bool = True) -> str:
    """An English number below a million, written the other way round from how it is read."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = f"{in_words(number // size, with_and)} {name}", number % size
    joint = " and " if with_and and 0 < rest < 100 else " "
    return head + (joint + in_words(rest, with_and) if rest else "")


def numbers_in_words(text: str) -> str:
    """Every whole number outside `$…$` in words; prices keep theirs."""
    parts = re.split(r"(\$[^$]*\$)", text)
    number = re.compile(r"(?<![\w$.,/-])\d{1,6}(?![\w.,:/%-]*\d)(?!\w)")
    parts[::2] = [number.sub(lambda m: in_words(int(m.group())), part) for part in parts[::2]]
    return "".join(parts)


def odd_whitespace(text: str) -> str:
    rng = random.Random(len(text))
    return " \n" + re.sub(
        r"\s+", lambda _: rng.choice(["  ", "\n", "\t ", "\u00a0", " \r\n"]), text
    )


def other_latex(text: str) -> str:
    text = re.sub(r"\\frac\b", lambda _: r"\dfrac", text)
    text = re.sub(r"(?<![\\a-z])\(", lambda _: r"\left( ", text)
    text = re.sub(r"(?<!\\)\)", lambda _: r" \right)", text)
    text = re.sub(r"\^(\d)", r"^{\1}", text)
    text = re.sub(r"(?<=\d),(?=\d{3})", "{,}", text)
    text = re.sub(r"\$([^$]+)\$", r"\\(\1\\)", text)
    return text.replace(r"\cdot", r"\times").replace(r"\le ", r"\leq\, ")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "verbatim": str,
    "upper case": str.upper,
    "odd whitespace": odd_whitespace,
    "other LaTeX": other_latex,
    "numbers in words": numbers_in_words,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_all_of_500_planted_overlaps_are_found(
    spelling: str, index: BenchmarkIndex, benchmarks: dict[str, list[Problem]]
) -> None:
    rng = random.Random(8)
    missed = []
    for name in ("gsm8k", "math500"):
        for problem in rng.sample(benchmarks[name], 250):
            text = SPELLINGS[spelling](problem.problem)
            around = f"First I repeat the problem.\n{text}\nSo 3 + 4 = 7, and the answer is 7."
            for planted in (text, around):
                match = index.nearest(planted)
                if not match or not match.is_held or match.share < 0.6:
                    missed.append((name, problem.problem_id, match))
    assert missed == []


def test_changed_names_and_words_are_found_in_real_problems(
    index: BenchmarkIndex, benchmarks: dict[str, list[Problem]]
) -> None:
    rng = random.Random(3)
    missed = 0
    for problem in benchmarks["gsm8k"]:
        names = re.findall(r"\b[A-Z][a-z]+", problem.problem)
        name = max(sorted(set(names)), key=names.count)
        renamed = re.sub(rf"\b{name}\b", "Zebulon", problem.problem)
        words = problem.problem.split()
        words[rng.randrange(len(words))] = "zebra"
        missed += not holds(index, renamed)
        missed += not holds(index, " ".join(words))
    assert missed <= 0.002 * 2 * len(benchmarks["gsm8k"])


def test_few_problems_of_another_split_are_flagged(index: BenchmarkIndex) -> None:
    train = shared_texts("gsm8k_train.parquet", "question")
    flagged = sum(holds(index, text) for text in train)
    assert flagged <= 0.005 * len(train)


def test_solutions_of_another_split_are_clean_and_looked_at_fast(index: BenchmarkIndex) -> None:
    solutions = shared_texts("gsm8k_train.parquet", "answer")
    started = time.process_time()
    flagged = sum(holds(index, text) for text in solutions)
    assert len(solutions) / (time.process_time() - started) > 4000  # half of what it should do
    assert flagged <= 0.001 * len(solutions)


@pytest.mark.parametrize(
    "piece",
    [
        "e\u0301\u0323",
        "\\",
        "\\begin{",
        "one hundred and ",
        "1,",
        "9",
        "\\frac1",
        "\ud800\x00",
        "שלום ",
        "twenty ",
        "a hundred ",
        "one point ",
        "-",
        "x-",
        "! ",
        "= ",
        "\\frac{",
        "^ ",
        "}\\frac{1",
        "⁻²",
    ],
)
def test_a_megabyte_of_anything_is_read_in_a_second(piece: str) -> None:
    index, started = make_index(PROBLEM), time.process_time()
    index.nearest((piece * 1_000_000)[:1_000_000])
    assert time.process_time() - started < 3
