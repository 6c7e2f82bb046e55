import pytest
from pydantic import ValidationError

from filters.build import settings_of
from filters.kinds.format import Format, FormatConfig
from tests.helpers.judged import CONTEXT, make_completion, make_problem


def reason(text: str, **settings: object) -> str:
    config = FormatConfig.model_validate({"kind": "format", **settings})
    return Format(config, CONTEXT).mark(make_problem(), make_completion(text)).reason


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("anything", {}, "well_formed"),
        (r"so \boxed{3}", {"boxed": "exactly_one"}, "well_formed"),
        (r"\boxed{3} or \fbox{4}", {"boxed": "exactly_one"}, "several_boxed"),
        (r"\boxed{3} or \fbox{4}", {"boxed": "at_least_one"}, "well_formed"),
        ("so 3", {"boxed": "at_least_one"}, "no_boxed"),
        (r"so \boxed{3", {"boxed": "exactly_one"}, "unclosed_boxed"),
        (r"so \boxed{\frac{3}{4}", {"boxed": "at_least_one"}, "unclosed_boxed"),
        (r"so \boxed{ }", {"boxed": "exactly_one"}, "empty_boxed"),
        (r"\boxed{3} or \boxed{4", {"boxed": "exactly_one"}, "several_boxed"),
        ("<think>hm</think> 3", {"think": True}, "well_formed"),
        ("hm</think> 3", {"think": True}, "well_formed"),
        ("<think>hm 3", {"think": True}, "no_think"),
        ("<think>a</think><think>b</think> 3", {"think": True}, "several_think"),
        ("well <think>a</think> 3", {"think": True}, "text_before_think"),
        ("<think>a</think> \n", {"think": True}, "nothing_after_think"),
        ("<a>x</a>\n<b>y</b>\n", {"tags": ["a", "b"]}, "well_formed"),
        ("<a>x</a> and <b>y</b>", {"tags": ["a", "b"]}, "text_outside_tags"),
        ("<b>y</b><a>x</a>", {"tags": ["a", "b"]}, "tags_out_of_order"),
        ("<a>x</a><b>y", {"tags": ["a", "b"]}, "tag_missing"),
        ("<a>x</a><b></b>", {"tags": ["a", "b"]}, "empty_tag"),
        ("<a>x</a><a>x</a><b>y</b>", {"tags": ["a", "b"]}, "tag_repeated"),
        ("<a>x</a><b>y</b> bye", {"tags": ["a", "b"]}, "text_outside_tags"),
        ("step 1\nstep 2", {"pattern": r"step 1.*step 2"}, "well_formed"),
        ("step 2", {"pattern": r"step 1"}, "pattern_mismatch"),
        (r"Two and one make three. \boxed{3}", {"min_reasoning_chars": 10}, "well_formed"),
        (r"\boxed{3} because two and one make it", {"min_reasoning_chars": 10}, "answer_first"),
        (r"\boxed{3}", {"min_reasoning_chars": 10}, "empty_reasoning"),
        ("<think></think>" + r"\boxed{3}", {"min_reasoning_chars": 1}, "empty_reasoning"),
        ("", {"min_reasoning_chars": 1}, "empty_reasoning"),
    ],
)
def test_shapes(text: str, settings: dict[str, object], expected: str) -> None:
    assert reason(text, **settings) == expected


def test_only_verdicts_that_look_at_boxes_are_made_again() -> None:
    assert "boxes" not in settings_of(FormatConfig())
    assert "boxes" in settings_of(FormatConfig(boxed="exactly_one"))


def test_a_completion_that_was_cut_off_is_rejected_unless_asked_for() -> None:
    cut = make_completion("so", finish_reason="length")
    assert Format(FormatConfig(), CONTEXT).mark(make_problem(), cut).reason == "finish_length"
    lax = FormatConfig(finish_reasons=("stop", "length"))
    assert Format(lax, CONTEXT).mark(make_problem(), cut).accepted


def test_a_pattern_that_never_ends_is_stopped() -> None:
    rule = Format(FormatConfig(pattern=r"(a|aa)+$"), CONTEXT)
    with pytest.raises(TimeoutError):
        rule.mark(make_problem(), make_completion("a" * 60 + "b"))


@pytest.mark.parametrize(
    "settings", [{"pattern": "("}, {"finish_reasons": []}, {"tags": ["no tag"]}]
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FormatConfig.model_validate({"kind": "format", **settings})
