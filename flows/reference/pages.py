"""Descriptions of a config as text: for a terminal, as Markdown, as one JSON object."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

from flows.reference.sections import Section, Setting

INERT = "does not change the result"

HEAD = f"""\
# Every setting of a run's config

Written by `ratchet config --markdown > docs/config.md` from the code's own classes; don't edit it
here. `ratchet config SECTION` shows one section in the terminal, `ratchet init DIR` writes a config
to start from.

A run is one TOML file. Each section below is a table of it, or one kind of a table that has
several; a kind has the settings of its table too. Any of them can be set on the command line:
`--set sampler.group_size=4`, and `--set filters.0.mode=mark` in a list of tables.

What is marked "{INERT}" is no part of the identity of what a run makes:
with another value, what is there already is found and used. Of a file or folder that is read, the
content counts, not the path.
"""


def as_text(sections: Sequence[Section], everything: Sequence[Section], width: int) -> str:
    """Sections for a terminal of `width` columns; what stands below them is listed at the end."""
    shown = {section.name for section in sections}
    parts = ["\n".join(_text(section, section.group in shown, width)) for section in sections]
    whole = [section for section in sections if section in everything]
    below = [s for s in everything if s.name not in shown and _is_below(s, whole)]
    if below:
        parts.append("\n".join(["More, by `ratchet config SECTION`:", *_overview(below, width)]))
    return "\n\n".join(parts)


def overview(sections: Sequence[Section], width: int) -> str:
    """A line for each section."""
    return "\n".join(_overview(sections, width))


def as_markdown(sections: Sequence[Section]) -> str:
    """The whole page."""
    contents = "\n".join(f"- {_link(s.name)}: {_first_sentence(s.text)}" for s in sections)
    return "\n".join([HEAD, contents, *("\n".join(_markdown(section)) for section in sections)])


def as_json(sections: Sequence[Section]) -> dict[str, Any]:
    """One object; each kind with all its settings."""
    return {"sections": [_json(section) for section in sections]}


def _is_below(section: Section, shown: Sequence[Section]) -> bool:
    return any(section.name.startswith(f"{each.name}.") for each in shown)


def _overview(sections: Sequence[Section], width: int) -> Iterator[str]:
    longest = max(len(section.name) for section in sections)
    for section in sections:
        line = f"  {section.name:<{longest}}  {_first_sentence(section.text)}"
        yield line if len(line) <= width else f"{line[: width - 1]}…"


def _first_sentence(text: str) -> str:
    joined = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", joined, maxsplit=1)[0]


def _text(section: Section, has_group: bool, width: int) -> Iterator[str]:
    yield "  ".join(filter(None, (section.name, _begins(section, ", "))))
    yield from _paragraphs(section.text, width)
    if also := _elsewhere(section):
        yield from _paragraphs(f"The same table stands at {', '.join(also)}.", width)
    for setting in section.own:
        yield from _setting_text(setting, width)
    shared = [setting for setting in section.settings if setting.name in section.shared]
    if shared and not has_group:
        yield f"\n  As every kind of {section.group}:"
        for setting in shared:
            yield from _setting_text(setting, width)


def _begins(section: Section, between: str) -> str:
    """How the table begins in the TOML."""
    return between.join(filter(None, (section.header, section.kind and f'kind = "{section.kind}"')))


def _paragraphs(text: str, width: int) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(" "):
            yield from paragraph.splitlines()
        else:
            yield from wrap(paragraph, width, break_long_words=False, break_on_hyphens=False)


def _setting_text(setting: Setting, width: int) -> Iterator[str]:
    yield f"  {setting.name}: {_what(setting, '')}"
    indent = " " * 6
    yield from wrap(
        setting.text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _what(setting: Setting, quote: str) -> str:
    """Type and default; `quote` stands around what is TOML."""
    words = setting.default_words
    is_toml = not setting.required and setting.default is not None
    default = f"default {quote}{words}{quote}" if is_toml else words
    table = f" ({_link(setting.table) if quote else setting.table})" if setting.table else ""
    inert = "" if setting.changes_result else f"; {INERT}"
    return f"{setting.type}{table}; {default}{inert}"


def _link(name: str) -> str:
    return f"[`{name}`](#{name.replace('.', '')})"


def _markdown(section: Section) -> Iterator[str]:
    yield f"\n{'###' if '.' in section.name else '##'} `{section.name}`"
    if begins := _begins(section, "\n"):
        yield f"```toml\n{begins}\n```"
    yield f"{section.text}\n"
    if section.kinds:
        yield f"Kinds: {', '.join(map(_link, section.kinds))}.\n"
    if also := _elsewhere(section):
        yield f"The same table stands at {', '.join(f'`{place}`' for place in also)}.\n"
    if section.group:
        yield f"Beside the settings of {_link(section.group)}{':' if section.own else '.'}\n"
    for setting in section.own:
        yield f"- `{setting.name}`: {_what(setting, '`')}. {setting.text}"


def _elsewhere(section: Section) -> tuple[str, ...]:
    """Further places of a table that has several kinds."""
    return section.places[1:] if section.kinds else ()


def _json(section: Section) -> dict[str, Any]:
    return {
        "section": section.name,
        "table": section.header,
        "kind": section.kind or None,
        "kinds": list(section.kinds),
        "text": section.text,
        "settings": [
            {
                "name": setting.name,
                "type": setting.type,
                "required": setting.required,
                "default": setting.default,
                "changes_result": setting.changes_result,
                "table": setting.table or None,
                "text": setting.text,
            }
            for setting in section.settings
        ],
    }
