import json

import pytest

from ratchet.visible import json_text, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2K gone\r", "\\x9b2K gone\\x0d"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("lone \ud800", "lone \\ud800"),
        ("two\nlines\tand ünïcode, 漢字, x² ≤ 3", "two\nlines\tand ünïcode, 漢字, x² ≤ 3"),
    ],
)
def test_what_would_steer_a_terminal_is_shown_and_nothing_else_changes(
    text: str, shown: str
) -> None:
    assert visible(text) == shown


def test_json_is_safe_to_print_and_gives_the_value_back() -> None:
    value = {"id": "a\u202eb\x9b\x1b", "lines": ["x\ny", "ü", "\U000e0041"]}
    text = json_text(value)
    assert json.loads(text) == value
    assert visible(text) == text
    assert "ü" in text
