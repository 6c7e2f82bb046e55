"""How models end a solution, in several spellings each, and what only looks like it.

The kinds are those that verified completions were turned down for, although they were right.
"""

from collections.abc import Iterator

import pytest

from ratchet.verifier.grader import AnswerRules, Grader


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(workers=1) as grader:
        yield grader


HEADINGS = [
    "**3. ANSWER:** 91",
    "**3. ANSWER**\n91",
    "**3. ANSWER**\n\n91 apples",
    "**3. ANSWER:**\n$91",
    "**3. ANSWER:**\n\\[\n91\n\\]",
    "**3. ANSWER: 91**",
    "**(3) ANSWER** 91",
    "**3. ANSWER** - 91",
    "**3. FINAL ANSWER:** 91",
    "**III. ANSWER:** 91",
    "3. ANSWER: 91",
    "3) Answer: 91",
    "3. **Answer:** 91",
    "- **Answer**: 91",
    "### 3. Answer: 91",
    "## 3. Final Answer\n91",
    "### Step 3: Answer\n91",
    "***Answer***\n**91**",
    "__Answer:__ 91",
    "Answer:\n91",
    "**3. ANSWER**\nShe has 91 apples in all, as asked.",
    "**3. ANSWER:** There are 91 apples in the basket.",
    "**3. ANSWER:** 42 + 49 = 91",
    "**3. ANSWER**\n**Answer: 91**",
]
SENTENCES = [
    (r"We add. Therefore, the total cost will be \$324.", "324"),
    (r"We add. Therefore, the total cost will be **\$324**.", "324"),
    (r"We add. Thus, Tom spends \$324 on food each month.", "324"),
    (r"Therefore, Tom will have \$1,324.50 left.", "1324.5"),
    (r"Thus, the profit is \$324 - \$300 = \$24.", "24"),
    ("Therefore, it would take 5 hours.", "5"),
    ("We add. Therefore, the total is **5** apples.", "5"),
    (r"The area of the region is $75$ square units.", "75"),
    (r"The area is \(\frac{8\pi}{5}\) square units.", r"\frac{8\pi}{5}"),
    (r"So the volume is $\frac{4}{3}$ cubic inches.", r"\frac{4}{3}"),
    (r"So her speed is \(60\) km/h.", "60"),
    (r"So her speed is $60$ miles per hour.", "60 miles per hour"),
    (r"Therefore, there are $75$ different ways to do it.", "75"),
    (r"Some $x$ is 3. So, she needs $12$ more apples.", "12"),
    ("Therefore, 15 x 10 = 150 chives will be planted.", None),
]
CALCULATIONS = [
    (r"42 + 24 = 66 issues", "66"),
    (r"42 issues + 24 issues = 66 issues", "66"),
    (r"42 \text{ issues} + 24 \text{ issues} = 66 \text{ issues}", "66"),
    (r"Total = 42 + 24 = 66 issues", "66"),
    (r"\text{Total} = 42 + 24 = 66", "66"),
    (r"\$42 + \$24 = \$66", "66"),
    (r"$42 + $24 = $66", "66"),
    (r"3 x 22 = 66 dollars", "66"),
    (r"50% of 132 = 66", "66"),
    (r"132 / 2 = 66 miles per hour", "66"),
    (r"\frac{132}{2} = 66\text{ cm}", "66"),
    (r"7 - 10 = -3", "-3"),
    (r"1/2 + 1/4 = 3/4 cups", "3/4"),
]


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_heading_may_be_numbered_and_starred(grader: Grader, heading: str) -> None:
    completion = f"**1. GIVEN:** 42 apples\n\n**2. STEPS**\nWe add 49 to them.\n\n{heading}"
    assert grader.grade(completion, "91").correct is True
    assert grader.grade(completion, "92").correct is False


@pytest.mark.parametrize(("completion", "reference"), SENTENCES)
def test_a_last_sentence_may_state_one_value(
    grader: Grader, completion: str, reference: str | None
) -> None:
    grade = grader.grade(completion, reference or "15")
    assert grade.correct is (reference is not None)


@pytest.mark.parametrize("dress", [r"\boxed{@}", "so **@**", '{"answer": "@"}', "A: @"])
@pytest.mark.parametrize(("calculation", "result"), CALCULATIONS)
def test_a_calculation_answers_with_what_it_comes_to(
    grader: Grader, dress: str, calculation: str, result: str
) -> None:
    completion = dress.replace("@", calculation)
    assert grader.grade(completion, result).correct is True
    assert grader.grade(completion, "42").correct is False


@pytest.mark.parametrize(
    ("completion", "reference"),
    [
        (r"\boxed{66 + 24 = 90}", "66"),
        (r"\boxed{42 + 24 = 66 = 67}", "66"),
        (r"\boxed{x + 24 = 66}", "66"),
        (r"\boxed{2x = 66}", "66"),
        (r"\boxed{66 = 2x}", "66"),
        (r"\boxed{42 + 24 \neq 66}", "66"),
        (r"\boxed{42 + 24 < 66}", "66"),
        ("**1. ANSWER**\n17\n**2. ANSWER**\n18", "18"),
        ("**1. ANSWER:** 17\n**2. ANSWER:** 18", "18"),
        ("1. Answer: 17\n2. Answer: 18\n3. Answer: 19", "19"),
        ("**3. ANSWER CHOICES**\n91", "91"),
        ("**3. ANSWER:** it is certainly not the 91 of before", "91"),
        ("**3. ANSWER:** it lies somewhere in between 80 and 91", "91"),
        (r"Therefore, he pays \$5 of the \$324.", "324"),
        (r"Therefore, he pays \$5 of the \$324.", "5"),
        ("Therefore, he pays $5 of the $324.", "324"),
        ("We see. Therefore, the answer cannot be 18.", "18"),
    ],
)
def test_what_only_looks_like_it_is_not_accepted(
    grader: Grader, completion: str, reference: str
) -> None:
    assert grader.grade(completion, reference).correct is False


UNEVALUATED = [
    ("(5 + 4 + 2) * 7", "77"),
    ("10 * 2^9", "5120"),
    (r"10\cdot 2^9\text{ apples}", "5120"),
    ("x = 10*2^9", "5120"),
    ("77 = (5+4+2)*7", "77"),
    ("2^{10}", "1024"),
    ("5!", "120"),
    (r"\sqrt{4}", "2"),
    (r"\frac{5+4}{3}", "3"),
    ("1 + 1/2", "1.5"),
    ("(2+1, 4)", "(3,4)"),
    (r"\{1+1, 3\}", "2,3"),
]
WORKED_OUT = [
    ("3/4", "0.75"),
    (r"\frac{6}{8}", "3/4"),
    (r"75\%", "75"),
    (r"1\frac{1}{2}", "1.5"),
    (r"1.5 \times 10^3", "1500"),
    ("1.5e3", "1500"),
    ("10^{-3}", "0.001"),
    (r"-\left(\frac{3}{4}\right)", "-3/4"),
    ("1024", "2^{10}"),
    ("2^{10}", "2^{10}"),
    (r"2\sqrt{2}", r"\sqrt{8}"),
    (r"\sqrt{2}", "1.414214"),
    (r"\lambda \in (3,4]", "(3,4]"),
    (r"\frac{1}{2}\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1/2\\1\end{pmatrix}"),
]


@pytest.mark.parametrize("dress", [r"\boxed{@}", "**@**", '{"answer": "@"}', "The answer is @."])
@pytest.mark.parametrize(("answer", "reference"), UNEVALUATED[:2])
def test_an_expression_left_to_be_worked_out_is_no_number(
    grader: Grader, dress: str, answer: str, reference: str
) -> None:
    grade = grader.grade(dress.replace("@", answer), reference)
    assert (grade.correct, grade.reason) == (False, "unevaluated")


@pytest.mark.parametrize(("answer", "reference"), UNEVALUATED)
def test_unevaluated_answers_are_a_switch_of_the_policy(
    grader: Grader, answer: str, reference: str
) -> None:
    completion, accept = rf"\boxed{{{answer}}}", AnswerRules(unevaluated="accept")
    assert grader.grade(completion, reference).reason == "unevaluated"
    assert grader.grade(completion, reference, policy=accept).reason == "equal_symbolic"
    assert grader.grade(completion, "78", policy=accept).correct is False


@pytest.mark.parametrize(("answer", "reference"), WORKED_OUT)
def test_a_number_in_another_spelling_is_worked_out(
    grader: Grader, answer: str, reference: str
) -> None:
    assert grader.grade(rf"\boxed{{{answer}}}", reference).correct is True
