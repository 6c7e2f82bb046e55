import pytest
from rich.console import Console

from flows import display
from flows.display import Display, StageDisplay, headline
from ratchet.progress import Step
from ratchet.store.artifacts import Manifest


def test_the_rest_is_estimated_by_the_pace_since_the_first_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    shown: list[str] = []
    stage = StageDisplay("sample", lambda _, words: shown.append(words))
    for at, done in ((100.0, 1), (101.0, 2), (110.0, 101), (200.0, 1000)):
        now[0] = at  # 100 s for the model and the first group, then ten groups a second
        stage.progress(Step(done, 1000))
    assert ["left" in words for words in shown] == [False, False, True, False]
    assert shown[2].endswith("90 s left")


def test_one_long_text_in_a_short_stage_makes_no_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    shown: list[str] = []
    stage = StageDisplay("sample", lambda _, words: shown.append(words))
    for at, done in ((1.0, 1), (12.0, 2), (14.0, 17)):  # seen with a real model: 256 s, then 11 s
        now[0] = at
        stage.progress(Step(done, 24))
    assert ["left" in words for words in shown] == [False, False, True]


def test_a_line_cannot_steer_the_terminal() -> None:
    console = Console(force_terminal=True, width=80, highlight=False)
    with console.capture() as captured:
        Display(console).line("id \x1b]0;owned\x07[red]x[/red]\u202e")
    assert captured.get() == "id \\x1b]0;owned\\x07[red]x[/red]\\u202e\n"


@pytest.mark.parametrize(
    ("k", "mean", "state", "words"),
    [
        (1, 0.465, "ok", "46.5 % [44.0, 49.0], n=9"),
        (4, 0.465, "ok", "mean@4 46.5 % [44.0, 49.0], n=9"),
        (4, None, "grader_broken", "nothing could be graded: the grader is broken"),
        (0, None, "ok", ""),
    ],
)
def test_an_evaluation_s_headline(k: int, mean: float | None, state: str, words: str) -> None:
    metrics = {"mean": mean, "low": 0.44, "high": 0.49, "n": 9, "k": k, "state": state}
    manifest = Manifest(
        identity="i",
        stage="eval",
        version=3,
        settings={},
        inputs={},
        parts=(),
        metrics=metrics,
        fingerprint="f",
        seconds=1.0,
    )
    assert headline(manifest) == words
