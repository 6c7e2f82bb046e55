"""GRPO's rewards, one by one, on the real grader."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from ratchet.errors import InputError
from ratchet.problems.grading import GradingRules
from ratchet.records import GrpoRow
from ratchet.verifier.grader import Grade, Grader
from tests.helpers.places import ROOT
from trainers.config import GrpoConfig
from trainers.config.rewards import source_digest
from trainers.rewards import Sampled
from trainers.rewards.functions import partial_credit
from trainers.rewards.process import RewardProcess
from trainers.rewards.scorer import MAX_FAILED_BATCHES, Scorer


def make_sampled(completion, answer="12", finish_reason="stop", num_tokens=10, problem="6+6?"):
    row = GrpoRow(problem_id=problem, problem=problem, prompt=problem, reference_answer=answer)
    return Sampled(row, completion, finish_reason, num_tokens)


def score(reward, *batch, times=1):
    """A reward's scores, the last time it is asked."""
    rewards = GrpoConfig(rewards=[reward]).rewards
    with Grader(workers=1) as grader, Scorer(rewards, GradingRules(), grader) as scorer:
        return [scorer.score(batch) for _ in range(times)][-1]


def values(reward, *batch):
    """A reward's value of each completion."""
    (column,) = score(reward, *batch).values.values()
    return column


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
    "boxed": (["so \\boxed{1}", "\\boxed {1}"], ["so 1", "", "\\boxed {1", "\\boxed{}"]),
    "think": (
        ["<think>hm</think> 12", " <think>\n</think>\n12 ", "hm, the prompt opened</think> it"],
        ["<think>hm</think>", "12", "a <think>b</think> c", "<think>a</think><think>b</think>c"],
    ),
    "xml_exact": (
        ["<think>a</think><answer>1</answer>", " <think>a</think>\n<answer>1</answer>\n"],
        [
            "<think>a</think> so <answer>1</answer>",
            "<answer>1</answer><think>a</think>",
            "<think>a</think><answer>1</answer> and more",
            "<think>a</think><answer>1</answer><answer>2</answer>",
            "<think>a</think><answer></answer>",
        ],
    ),
}


@pytest.mark.parametrize("style", FORMS)
def test_format_is_1_where_the_completion_has_it(style):
    good, bad = FORMS[style]
    found = values({"kind": "format", "style": style}, *map(make_sampled, [*good, *bad]))
    assert found == [1] * len(good) + [0] * len(bad)


def test_soft_xml_pays_for_each_tag_that_stands_once():
    texts = {
        "well <think>a</think> so <answer>1</answer> done": 1,
        "<think>a<answer>1</answer>": 0.75,
        "<think>a</think><think>b</think><answer>1": 0.25,
        "\x00": 0,
    }
    found = values({"kind": "format", "style": "xml_soft"}, *map(make_sampled, texts))
    assert found == list(texts.values())


def test_the_tags_are_the_users():
    reward = {"kind": "format", "style": "xml_exact", "tags": ["plan", "do"]}
    texts = ["<plan>a</plan><do>b</do>", "<think>a</think><answer>b</answer>"]
    assert values(reward, *map(make_sampled, texts)) == [1, 0]


ENGLISH = "Each of the three friends pays for two tickets, and they cost seven dollars each. "
GERMAN = "Jeder der drei Freunde bezahlt zwei Karten, und eine davon kostet sieben Euro. "


def test_language_is_the_share_of_the_wanted_one():
    english, mixed, german = values(
        {"kind": "language", "language": "en"},
        *map(make_sampled, [ENGLISH, ENGLISH + GERMAN, GERMAN]),
    )
    assert (english, german) == (1, 0)
    assert 0.3 < mixed < 0.7


def test_the_wanted_language_is_the_problems_own():
    batch = [make_sampled(text, problem=asked) for asked in (ENGLISH, GERMAN) for text in (GERMAN,)]
    assert values({"kind": "language"}, *batch) == [0, 1]


def test_where_there_is_nothing_to_judge_the_value_is_neutral_and_none_is_missing():
    nothing = [make_sampled(text) for text in ("", "12", "\\boxed{12}", "\x00", "\ud800")]
    for reward in ({"kind": "language", "language": "en"}, {"kind": "arithmetic"}):
        scores = score(reward, *nothing)
        assert list(scores.values.values()) == [[1] * len(nothing)]
        assert scores.failures == [None] * len(nothing)


def test_arithmetic_is_the_share_of_equations_that_hold():
    texts = ["3*4=12 and 12+1=13", "3*4=12 and 12+1=14", "3*4=11", "x+1=5", "3*4=12, so 2y=12"]
    assert values({"kind": "arithmetic"}, *map(make_sampled, texts)) == [1, 0.5, 0, 1, 1]


def test_an_unknown_language_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="en"):
        GrpoConfig(rewards=[{"kind": "language", "language": "english"}])


def test_length_falls_evenly_from_free_to_most():
    reward = {"kind": "length", "free_tokens": 10, "max_tokens": 20}
    batch = [make_sampled("", num_tokens=count) for count in (0, 10, 15, 20, 99)]
    assert values(reward, *batch) == [0, 0, -0.5, -1, -1]


HOSTILE = ["", "\x00", "\ud800", "\u202e12", "<think>" * 100_000, "\\boxed{" * 20_000, "1=" * 9_999]


def test_hostile_texts_neither_raise_nor_hang():
    rewards = [{"kind": kind} for kind in ("correct", "partial", "language", "arithmetic")]
    styles = (*FORMS, "xml_soft")
    rewards += [{"kind": "format", "name": style, "style": style} for style in styles]
    with Grader(workers=1) as grader:
        scorer = Scorer(GrpoConfig(rewards=rewards).rewards, GradingRules(), grader)
        scores = scorer.score([make_sampled(text) for text in HOSTILE])
    assert scores.failures == [None] * len(HOSTILE)


# The user's own, in a process of its own


OWN = """
import os, time, ctypes

def hang_once(batch, marker):
    if not os.path.exists(marker):
        open(marker, "w").close()
        time.sleep(600)
    return [1.0] * len(batch)

def hang_in_c(batch):
    ctypes.PyDLL(None).sleep(600)  # holds the interpreter's lock

def die(batch):
    os._exit(3)

def echo(batch):
    print("{}", flush=True)
    return [float(len(s.completion)) for s in batch]

def text(batch):
    return ["much" for s in batch]

def start_another(batch, pid_file):
    import subprocess
    process = subprocess.Popen(["sleep", "600"])
    open(pid_file, "w").write(str(process.pid))
    time.sleep(600)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Settings of a reward of the user's own module."""
    (tmp_path / "slow_rewards.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))

    def setting(function, **further):
        return {
            "kind": "custom",
            "name": function,
            "path": f"slow_rewards:{function}",
            "timeout": 1.0,
            **further,
        }

    return setting


IN_THE_CURRENT_FOLDER = """
import sys
from ratchet.records import GrpoRow
from trainers.config import GrpoConfig
from trainers.rewards.base import Sampled
from trainers.config.rewards import source_digest
from trainers.rewards.process import RewardProcess

config = {"kind": "custom", "name": "echo", "path": "slow_rewards:echo"}
reward = GrpoConfig(rewards=[config]).rewards[0]
assert len(source_digest(reward)) == 16
assert "slow_rewards" not in sys.modules
process = RewardProcess(reward)
row = GrpoRow(problem_id="p", problem="?", prompt="?", reference_answer="1")
print(process([Sampled(row, "abc", "stop", 1)]))
process.close()
"""


def test_a_reward_in_the_current_folder_is_found_by_the_installed_command_too(own, tmp_path):
    # Whose first place on `sys.path` is the folder of its script, as `-P` leaves out the current.
    root = str(ROOT)
    ran = subprocess.run(
        [sys.executable, "-P", "-c", IN_THE_CURRENT_FOLDER],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.returncode) == ("[3.0]\n", 0), ran.stderr


def test_a_hanging_reward_is_a_recorded_failure_and_is_asked_again(own, tmp_path):
    reward = own("hang_once", settings={"marker": str(tmp_path / "marker")})
    batch = [make_sampled("a"), make_sampled("b")]
    failed = score(reward, *batch)
    assert failed.values == {"hang_once": [None, None]}
    why = "hang_once: no answer after 1 s, so its process was killed"
    assert failed.failures == [why, why]
    (tmp_path / "marker").unlink()
    assert score(reward, *batch, times=2).values == {"hang_once": [1.0, 1.0]}


def test_one_that_hangs_while_nothing_else_can_run_is_killed_too(own):
    started = time.monotonic()
    assert "killed" in score(own("hang_in_c"), make_sampled("a")).failures[0]
    assert time.monotonic() - started < 30


def test_what_a_hanging_reward_started_ends_with_it(own, tmp_path):
    pid_file = tmp_path / "pid"
    score(own("start_another", settings={"pid_file": str(pid_file)}), make_sampled("a"))
    end = time.monotonic() + 10
    while is_running(int(pid_file.read_text())):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_reward_that_ends_its_process_has_failed_and_stops_the_training_in_the_end(own):
    assert score(own("die"), make_sampled("a")).failures == ["die: its process ended with 3"]
    with pytest.raises(InputError, match=r"'die' failed for 3 batches in a row.*ended with 3"):
        score(own("die"), make_sampled("a"), times=MAX_FAILED_BATCHES)


def test_a_rewards_own_process_starts_without_a_warning(own, capfd):
    """Its module was imported once by its package and once as the program."""
    score(own("echo"), make_sampled("a"))
    assert "RuntimeWarning" not in capfd.readouterr().err


def test_hostile_texts_reach_the_users_function_and_its_prints_disturb_nothing(own):
    batch = [make_sampled(text) for text in HOSTILE]
    assert values(own("echo", timeout=60), *batch) == [len(text) for text in HOSTILE]


def test_what_is_no_number_is_told_as_it_is(own):
    assert score(own("text"), make_sampled("")).failures == ["text: 'much' is no number"]


def test_the_process_ends_with_the_scorer(own):
    reward = GrpoConfig(rewards=[own("echo", timeout=60)]).rewards[0]
    process = RewardProcess(reward)
    child = psutil.Process(process._process.pid)
    assert list(process([make_sampled("ab")])) == [2.0]
    process.close()
    assert not child.is_running()


def test_nothing_of_pythons_own_is_called_as_a_reward(tmp_path):
    folder = tmp_path / "precious"
    folder.mkdir()
    settings = {"path": str(folder)}
    reward = {"kind": "custom", "name": "own", "path": "shutil:rmtree", "settings": settings}
    with pytest.raises(InputError, match="shutil is Python's own library"):
        score(reward, make_sampled("a"))
    assert folder.is_dir()


def test_a_users_reward_is_found_again_from_another_folder(tmp_path, monkeypatch):
    (tmp_path / "far_away.py").write_text("def one(batch): return [1.0] * len(batch)\n")
    monkeypatch.chdir(tmp_path)
    (reward,) = GrpoConfig(
        rewards=[{"kind": "custom", "name": "own", "path": "far_away:one"}]
    ).rewards
    source = source_digest(reward)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(tmp_path)])
    monkeypatch.chdir("/")
    stored = type(reward).model_validate_json(reward.model_dump_json())
    assert source_digest(stored) == source
    process = RewardProcess(stored)
    assert process([make_sampled("a")]) == [1.0]
    process.close()
