"""Text that others wrote, made safe to print: what would steer a terminal is shown, not sent.

A completion, a problem or an id may hold escape sequences (colours, a window's title, erased
lines), control characters, or marks that turn the direction of text and hide what it says (Boucher
and Anderson 2021, https://arxiv.org/abs/2111.00169).
"""

from __future__ import annotations

import json
import re
from typing import Any

_STEERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    "\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"  # direction, joiners, zero width
    "\ud800-\udfff\U000e0000-\U000e007f]"  # lone surrogates, tags
)


def visible(text: str) -> str:
    r"""`text` with each such character as `\x1b` or `\u202e`; line feeds and tabs stay."""
    return _STEERS.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def json_text(value: Any) -> str:
    r"""`value` as indented JSON, safe on a terminal too: the same characters are `\u` escapes.

    Reading it gives the value back, whatever it holds.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return _STEERS.sub(lambda found: json.dumps(found[0])[1:-1], text)
