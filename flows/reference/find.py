"""Which sections a user means who names one: by its name, its kind, a place, or a setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from flows.reference.sections import Section
from ratchet.config_errors import listed
from ratchet.errors import InputError


def find_sections(sections: Sequence[Section], asked: str) -> list[Section]:
    """The sections that `asked` names; where it ends on a setting, with that setting alone.

    `dpo` is `selection.dpo` and `trainer.dpo`; `trainer.dpo.beta` is one setting of the latter.

    Raises:
        InputError: if it names nothing, with what is near and all that there is.
    """
    exact = [section for section in sections if section.name == asked]
    outer, _, last = asked.rpartition(".")
    found = exact or [section for section in sections if _is_meant(section, asked)]
    if found := found or list(_with_setting(sections, outer, last)):
        return found
    raise InputError(_unknown(sections, asked))


def _is_meant(section: Section, asked: str) -> bool:
    return any(_ends_on(place, asked) for place in (section.name, *section.places))


def _ends_on(place: str, asked: str) -> bool:
    """Whether `asked` is `place` with some of its outer keys left out: `trainer.rewards`."""
    keys, wanted = place.split("."), asked.split(".")
    rest = iter(keys)
    return keys[-1] == wanted[-1] and all(key in rest for key in wanted)


def _with_setting(sections: Iterable[Section], outer: str, name: str) -> Iterable[Section]:
    for section in sections:
        in_place = not outer or _is_meant(section, outer) or _is_kind_of(section, outer)
        chosen = tuple(s for s in section.settings if s.name == name)
        if in_place and chosen and name not in section.shared:
            yield replace(section, settings=chosen, kinds=())


def _is_kind_of(section: Section, outer: str) -> bool:
    return section.group == outer


def _unknown(sections: Sequence[Section], asked: str) -> str:
    names = [section.name for section in sections]
    settings = {setting.name for section in sections for setting in section.settings}
    kinds = {section.kind for section in sections if section.kind}
    near = get_close_matches(asked, [*names, *sorted(settings | kinds)], n=3)
    near += [each for each in get_close_matches(asked.rpartition(".")[2], settings) if not near]
    hint = f"; did you mean {listed(near).replace(', ', ' or ')}?" if near else ""
    return f'no section or setting "{asked}"{hint}\nThe sections are: {", ".join(names)}'
