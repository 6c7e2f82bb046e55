"""GRPO's rewards, one by one, on the real grader."""

import pytest

from ratchet.answers import Grade, Grader
from ratchet.grading import GradingRules
from ratchet.records import GrpoRow
from trainers.config import GrpoConfig
from trainers.rewards import Sampled, Scorer, partial_credit


def make_sampled(completion, answer="12", finish_reason="stop", num_tokens=10):
    row = GrpoRow(problem_id="p", problem="6+6?", prompt="6+6?", reference_answer=answer)
    return Sampled(row, completion, finish_reason, num_tokens)


def values(reward, *batch):
    """A reward's value of each completion."""
    rewards = GrpoConfig(rewards=[reward]).rewards
    with Grader(workers=1) as grader:
        return Scorer(rewards, GradingRules(), grader).score(batch).values[rewards[0].name]


def test_correct_is_what_the_grader_says():
    right, wrong, none = (make_sampled(text) for text in ("\\boxed{12}", "\\boxed{13}", "well"))
    assert values({"kind": "correct"}, right, wrong, none) == [1, 0, 0]


@pytest.mark.parametrize(
    ("completion", "answer", "expected"),
    [
        ("\\boxed{12}", "12", 1),
        ("\\boxed{9}", "12", 0.75),
        ("\\boxed{16}", "12", 0.75),
        ("\\boxed{-9}", "12", 0),
        ("\\boxed{0}", "12", 0),
        ("\\boxed{x}", "12", 0),
        ("no answer at all", "12", 0),
        ("\\boxed{\\frac{3}{8}}", "1/2", 0.75),
        ("\\boxed{1,200}", "1000", 1000 / 1200),
    ],
)
def test_partial_is_the_ratio_of_the_numbers(completion, answer, expected):
    assert values({"kind": "partial"}, make_sampled(completion, answer)) == [
        pytest.approx(expected)
    ]


def test_what_the_grader_cannot_say_is_no_zero():
    assert partial_credit(Grade("9", None, "timeout"), "12") is None


FORMS = {
    "boxed": (["so \\boxed{1}"], ["so 1", ""]),
    "think": (
        ["<think>hm</think> 12", " <think>\n</think>\n12 "],
        ["<think>hm</think>", "12", "a <think>b</think> c", "<think>a</think><think>b</think>c"],
    ),
    "xml_exact": (
        ["<think>a</think><answer>1</answer>", " <think>a</think>\n<answer>1</answer>\n"],
        [
            "<think>a</think> so <answer>1</answer>",
            "<answer>1</answer><think>a</think>",
            "<think>a</think><answer>1</answer> and more",
            "<think>a</think><answer>1</answer><answer>2</answer>",
        ],
    ),
    "xml_soft": (
        ["well <think>a</think> so <answer>1</answer> done"],
        ["<answer>1</answer><think>a</think>", "<think>a<answer>1</answer>", "\x00"],
    ),
}


@pytest.mark.parametrize("style", FORMS)
def test_format_is_1_where_the_completion_has_it(style):
    good, bad = FORMS[style]
    found = values({"kind": "format", "style": style}, *map(make_sampled, [*good, *bad]))
    assert found == [1] * len(good) + [0] * len(bad)


def test_length_falls_evenly_from_free_to_most():
    reward = {"kind": "length", "free_tokens": 10, "max_tokens": 20}
    batch = [make_sampled("", num_tokens=count) for count in (0, 10, 15, 20, 99)]
    assert values(reward, *batch) == [0, 0, -0.5, -1, -1]


def test_hostile_texts_neither_raise_nor_hang():
    texts = ["", "\x00", "\ud800", "\u202e12", "<think>" * 100_000, "\\boxed{" * 20_000]
    rewards = [{"kind": "correct"}, {"kind": "partial"}]
    rewards += [{"kind": "format", "name": style, "style": style} for style in FORMS]
    with Grader(workers=1) as grader:
        scorer = Scorer(GrpoConfig(rewards=rewards).rewards, GradingRules(), grader)
        scores = scorer.score([make_sampled(text) for text in texts])
    assert scores.failures == [None] * len(texts)
