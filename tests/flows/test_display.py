import pytest
from rich.console import Console

from flows import display
from flows.display import Display, StageDisplay
from ratchet.progress import Step


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
