import json
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.verifier.compare.forms import form_of
from ratchet.verifier.compare.normal import normalise
from ratchet.verifier.compare.numbers import exact_number
from ratchet.verifier.find.references import bare_reference
from ratchet.verifier.grader import AnswerRules, Grader, GradingTask, WorkerLimits, extract_answer
from tests.helpers.places import ROOT, SHARED_DATA


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(workers=2) as grader:
        yield grader


def shared_rows(name: str) -> list[dict[str, Any]]:
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize(
    ("completion", "answer", "rule"),
    [
        (r"so $\boxed{\frac{3}{4}}$ and no more", r"\frac{3}{4}", "boxed"),
        (r"first \boxed{1}, no, \fbox{ 2 }.", "2", "boxed"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
        (r"\boxed{7} and then \boxed{unfinished", "7", "boxed"),
        (r"\boxed{7}, put it in \boxed{}", "7", "boxed"),
        (r"\boxed 7", "7", "boxed"),
        ("1 + 1 = <<1+1=2>>2\n#### 1,234\n", "1,234", "hash"),
        ("The answer is 5.9. I hope so.", "5.9", "the_answer_is"),
        ("**Final Answer:** 12", "12", "the_answer_is"),
        ("Final Answer: The final answer is $14$. I hope it is correct.", "$14$", "the_answer_is"),
        ("Final Answer: The largest $n$ is 34.", "34", "the_answer_is"),
        ("The answer is:\n\\[\n\\frac{1}{2}\n\\]", "\\[\n\\frac{1}{2}\n\\]", "the_answer_is"),
        ("so 3 apples\nA: 26", "26", "answer_line"),
        ("A: 3\nmore thought\n**Answer:** 4 cm", "4 cm", "answer_line"),
    ],
)
def test_final_answer_is_found_where_it_is_stated(completion: str, answer: str, rule: str) -> None:
    found = extract_answer(completion)
    assert found is not None
    assert (found.answer, found.rule) == (answer, rule)


@pytest.mark.parametrize("completion", ["", "  \n", "I add 3 and 4 and get 7", r"\boxed{", "####"])
def test_no_answer_is_made_up(completion: str) -> None:
    assert extract_answer(completion) is None


def test_last_number_only_where_the_format_says_so() -> None:
    found = extract_answer("3 and 4 make 1,007.5 in all", "last_number")
    assert found is not None
    assert found.answer == "1,007.5"
    negative = extract_answer("8-3", "last_number"), extract_answer("it is -3", "last_number")
    assert [found and found.answer for found in negative] == ["3", "-3"]


def test_a_second_problem_does_not_override_the_answer() -> None:
    completion = "So \\boxed{7}.\n\nQuestion: what is 1+1?\nAnswer: \\boxed{2}"
    found = extract_answer(completion)
    assert found is not None
    assert found.answer == "7"


def test_unknown_answer_format_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="last_number"):
        extract_answer("5", "letter")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reference", "answer", "reason"),
    [
        ("18", "18", "equal_string"),
        (r"\frac{1}{2}", r"\dfrac 12", "equal_string"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})", "equal_string"),
        (r"\text{Evelyn}", "evelyn", "equal_string"),
        (r"\text{Evelyn}", r"\text{Evelyn}.", "equal_string"),
        (r"\text{(C)}", "C", "equal_string"),
        (
            r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",
            r"\begin{pmatrix}1\\2\end{pmatrix}",
            "equal_string",
        ),
        (r"\$32,\!348", "32348", "equal_number"),
        (r"11,\! 111,\! 111,\! 100", "11,111,111,100", "equal_string"),
        (r"90^\circ", "90", "equal_string"),
        (r"5.4 \text{ cents}", "5.4", "equal_string"),
        (r"864 \mbox{ inches}^2", "864", "equal_string"),
        ("18", "18 dollars", "equal_string"),
        ("4210_{5}", "4210_5", "equal_string"),
        (r"\sin^2t", r"\sin^2 t", "equal_string"),
        ("x=5", "5", "equal_parts"),
        ("5", "x = 5", "equal_parts"),
        (r"x \in [-2,7]", "[-2, 7]", "equal_parts"),
        ("18", "18.00", "equal_number"),
        ("1/2", "0.5", "equal_number"),
        (r"137 \frac{1}{2}", "137.5", "equal_number"),
        ("50%", "50", "equal_string"),
        ("150000", r"1.5 \times 10^{5}", "equal_number"),
        ("-3/4", r"\frac{-3}{4}", "equal_number"),
        ("0.5", "50%", "different"),
        ("1/3", "0.333333", "equal_rounded"),
        ("1/3", "0.33333", "different"),
        ("(x+y+z)^{90}+1", "(x+y+z)^{90}+2", "different"),
        ("18 cm", "18 m", "different"),
        ("5 am", "5 pm", "different"),
        ("2", "2 million", "different"),
        ("81", "(x+y)^2=81", "different"),
        ("0", "5x-7y+11z+4=0", "different"),
        ("2", "2k", "different"),
        ("2", "2m", "different"),
        ("west", "stew", "different"),
        ("18", "9" * 100_000, "different"),
        (r"\sqrt{8}", r"2\sqrt{2}", "equal_symbolic"),
        ("(a+5)(b+2)", "(b + 2)(a + 5)", "equal_symbolic"),
        ("2k+2", "2(k+1)", "equal_symbolic"),
        ("p - q", "q - p", "different"),
        (r"3\sqrt{13}", r"3\sqrt{12}", "different"),
    ],
)
def test_comparison_and_its_tier(grader: Grader, reference: str, answer: str, reason: str) -> None:
    grade = grader.grade(f"\\boxed{{{answer}}}", reference)
    assert (grade.reason, grade.correct) == (reason, reason != "different")
    assert grade.answer == answer.strip()


def test_plain_comparisons_start_no_process() -> None:
    grader = Grader()
    grader.grade("A: 18", "18")
    grader.grade("A: 19", "18")
    assert grader._pool._idle == []


def test_a_reference_may_still_wear_its_marks(grader: Grader) -> None:
    assert grader.compare("some steps\n#### 18", "18") == "equal_string"
    assert grader.compare(r"steps \boxed{18}", "18") == "equal_string"


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("first I add 3 and", "truncated"),
        ("The answer is 1", "truncated"),
        ("#### 18\n", "equal_string"),
        (r"\boxed{18}", "equal_string"),
    ],
)
def test_cut_off_text_is_truncated_unless_it_had_answered(
    grader: Grader, completion: str, reason: str
) -> None:
    assert grader.grade(completion, "18", "length").reason == reason


def test_cut_off_text_is_never_graded_by_its_last_number(grader: Grader) -> None:
    grade = grader.grade("so there are 18 of", "18", "length", "last_number")
    assert (grade.reason, grade.correct, grade.answer) == ("truncated", False, None)


NASTY = [
    r"2^{2^{2^{49}}}",
    r"9^{9^{9^9}}",
    r"e^{e^{e^{10}}}",
    r"x^{9^9}+x^{8^8}=\sin x",
    r"\sum_{k=1}^{10^9} 1/k",
    "9" * 1_000_000,
    "{" * 5_000 + "5" + "}" * 5_000,
    r"\frac{1}{" * 400 + "2" + "}" * 400,
    r"\boxed{" * 20_000,
    "111 " * 50_000,
    ",".join(rf"\sqrt{{{n}}}" for n in range(300)),
    "__import__('os').system('touch pwned')",
    "a\0b",
    "\ud800 5",
    "x" * 1_000_000,
    "",
    " \n",
    "the answer is " * 50_000,
    "\\" * 10_001,
    "^" * 1_500,
    "(" * 1_900,
]


@pytest.mark.parametrize("text", NASTY, ids=lambda text: repr(text[:12]))
def test_nasty_completions_get_a_grade_in_time(grader: Grader, text: str) -> None:
    grader.compare(r"\sqrt{8}", r"2\sqrt{2}")  # the workers' start is not what is measured
    for completion in (text, f"\\boxed{{{text}}}", f"The answer is {text}"):
        started = time.monotonic()
        grades = [grader.grade(completion, reference) for reference in ("18", r"3\sqrt{2}")]
        assert time.monotonic() - started < 60
        assert all(grade.correct is not True for grade in grades)
        assert grades == [grader.grade(completion, ref) for ref in ("18", r"3\sqrt{2}")]
    assert not Path("pwned").exists()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.text(max_size=30))
def test_any_text_has_forms_and_equals_itself(answer: str, other: str) -> None:
    form_of(other)
    extract_answer(answer, "last_number")
    # A reference's box is taken off; an answer that was found in a completion has none.
    if normalise(answer) and bare_reference(answer) == answer:
        assert Grader(workers=1).compare(answer, answer) != "different"


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_fractions_are_exact(top: int, bottom: int) -> None:
    number = exact_number(rf"\frac{{{top}}}{{{bottom}}}")
    assert number is not None
    assert number * bottom == top
    assert exact_number(f"{top}/{bottom}") == number


ENDLESS = r"\int \sin(x^2) e^{x^3} dx"


def test_an_endless_comparison_is_killed_and_its_neighbours_lose_nothing() -> None:
    with Grader(workers=2, limits=WorkerLimits(seconds=0.5)) as grader:
        tasks = [GradingTask(rf"\boxed{{{n}\cdot\sqrt{{2}}}}", r"2\sqrt{2}") for n in range(1, 4)]
        tasks.insert(1, GradingTask(rf"\boxed{{{ENDLESS}}}", r"\sqrt{2}"))
        grades = grader.grade_many(tasks)
    assert [grade.correct for grade in grades] == [False, None, True, False]
    assert grades[1].reason == "timeout"


def test_a_worker_killed_from_outside_changes_no_verdict() -> None:
    with Grader(workers=1) as grader:
        assert grader.compare(r"\sqrt{8}", r"2\sqrt{2}") == "equal_symbolic"
        os.kill(grader._pool._idle[0]._process.pid, signal.SIGKILL)
        assert grader.compare(r"\sqrt{27}", r"3\sqrt{3}") == "equal_symbolic"


def test_threads_share_a_grader_and_each_pair_is_compared_once(
    grader: Grader, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    compare = grader._pool.compare
    monkeypatch.setattr(
        grader._pool, "compare", lambda *pair: (asked.append(pair), compare(*pair))[1]
    )
    with ThreadPoolExecutor(8) as threads:
        reasons = list(
            threads.map(
                lambda n: grader.compare(r"\sqrt{50}", rf"{n % 4 + 3}\sqrt{{2}}"), range(64)
            )
        )
    assert reasons == ["different", "different", "equal_symbolic", "different"] * 16
    assert len(asked) == 4


def test_a_grader_travels_as_its_settings() -> None:
    copy = pickle.loads(pickle.dumps(Grader(workers=1)))
    with copy:
        assert copy.compare(r"\sqrt{8}", r"2\sqrt{2}") == "equal_symbolic"


def test_workers_die_with_their_parent() -> None:
    code = r"""
        import os
        from ratchet.verifier.grader import Grader
        grader = Grader(workers=1)
        grader.compare(r"\sqrt{8}", r"2\sqrt{2}")
        print(grader._pool._idle[0]._process.pid, flush=True)
        os._exit(1)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True
    )
    worker = int(ran.stdout)
    until = time.monotonic() + 20
    while _is_running(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _is_running(worker)


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_importing_the_grader_loads_no_sympy() -> None:
    heavy = {"sympy", "math_verify", "torch"}
    code = f"import sys, ratchet.verifier.grader; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"


def test_real_completions_agree_with_their_labels(grader: Grader) -> None:
    rows = shared_rows("example_model_solutions.parquet")
    grades = grader.grade_many([GradingTask(row["solution"], row["gold"]) for row in rows])
    wrong = [
        (row["question_id"], grade)
        for row, grade in zip(rows, grades, strict=True)
        if grade.correct is not row["is_correct"]
    ]
    assert wrong == []
    assert len(rows) == 5276


@pytest.mark.parametrize("name", ["gsm8k_train.parquet", "gsm8k_test.parquet"])
def test_gsm8k_references_equal_themselves_and_their_solutions(grader: Grader, name: str) -> None:
    for row in shared_rows(name):
        assert grader.grade(row["answer"], row["final_answer"]).correct is True
        assert grader.compare(row["final_answer"], row["final_answer"]) == "equal_string"


def test_math500_references_equal_their_solutions(grader: Grader) -> None:
    for row in shared_rows("math500.parquet"):
        assert grader.grade(row["solution"], row["answer"]).correct is True


def test_changed_gsm8k_answers_are_never_accepted(grader: Grader) -> None:
    for row in shared_rows("gsm8k_train.parquet"):
        value = int(row["final_answer"].replace(",", ""))
        digit = str(abs(value))[0]
        other = int(str(abs(value)).replace(digit, str(int(digit) % 9 + 1), 1))
        for changed in (value + 1, value - 1, value * 10, -value, other):
            if changed != value:
                solution = f"{row['answer'].rpartition('####')[0]}#### {changed}"
                assert grader.grade(solution, row["final_answer"]).correct is False


def test_nemo_skills_differs_in_two_with_the_labels_own_policy(grader: Grader) -> None:
    """The labels read only the last box (run-on texts are rejected) and evaluate what is in it
    (`7!/16` is 315). What is left: an \\fbox, and a unit in letters (`1320 km`); docs/verifier.md
    explains both."""
    rows = shared_rows("nemo_skills_50x3.parquet")
    policy = AnswerRules(run_on="reject", unevaluated="accept")
    grades = [
        grader.grade(row["completion"], row["gold"], answer_format="boxed", policy=policy)
        for row in rows
    ]
    differ = [
        grade
        for row, grade in zip(rows, grades, strict=True)
        if grade.correct is not row["upstream_correct"]
    ]
    assert len(differ) <= 2
    assert all(grade.correct for grade in differ)


def test_nemo_skills_by_default_accepts_first_answers_only_beyond_the_labels(
    grader: Grader,
) -> None:
    rows = shared_rows("nemo_skills_50x3.parquet")
    grades = [grader.grade(row["completion"], row["gold"]) for row in rows]
    pairs = list(zip(rows, grades, strict=True))
    rejected = [grade for row, grade in pairs if row["upstream_correct"] and not grade.correct]
    assert [grade.reason for grade in rejected] == ["unevaluated"]
    assert sum(bool(g.correct) and not row["upstream_correct"] for row, g in pairs) <= 8


def test_math_verify_cases_agree_but_for_six(grader: Grader) -> None:
    """docs/verifier.md explains each of the six. Their labels evaluate `9+1` for 10."""
    policy = AnswerRules(unevaluated="accept")
    path = SHARED_DATA / "math_verify_cases.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    cases = [json.loads(line) for line in path.read_text().splitlines()]
    cases = [case for case in cases if "quirk" not in case["opts"]]
    differ = [
        case
        for case in cases
        if (grader.grade(case["pred"], case["gold"], policy=policy).correct is True)
        != case["expected"]
    ]
    assert len(cases) == 267
    assert len(differ) <= 6


def test_no_two_different_math500_answers_are_equal(grader: Grader) -> None:
    answers = sorted({row["answer"] for row in shared_rows("math500.parquet")})
    draws = random.Random(0)
    pairs = [draws.sample(answers, 2) for _ in range(10_000)]
    tasks = [GradingTask(rf"\boxed{{{one}}}", other) for one, other in pairs]
    grades = zip(pairs, grader.grade_stream(tasks), strict=True)
    accepted = {frozenset(pair) for pair, grade in grades if grade.correct is not False}
    assert accepted <= TRULY_EQUAL


TRULY_EQUAL = {
    frozenset(pair)
    for pair in (
        ("10080", r"10,\!080"),
        (r"\frac14", r"\frac{1}{4}"),
        (r"\$36", "36"),
        ("1,-2", "-2,1"),
        ("15", r"15\mbox{ cm}^2"),
        (r"30^\circ", "30"),
        (r"120^\circ", "120"),
        (r"2 \sqrt{5}", r"2\sqrt{5}"),
    )
}
