"""The answer inside a reference that is written as a solution is."""

from __future__ import annotations

import re
from functools import lru_cache

from ratchet.verifier.find.boxes import open_box
from ratchet.verifier.find.extraction import extract_answer

_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")


@lru_cache(maxsize=20_000)
def bare_reference(reference_answer: str) -> str:
    """The answer inside a reference that still wears its box or its `####`."""
    marked = "boxed" in reference_answer or "####" in reference_answer
    if marked or (len(reference_answer) > 200 and len(_PROSE.findall(reference_answer)) > 20):
        found = extract_answer(reference_answer, "auto")
        if found is None or found.rule in ("latex", "conclusion", "whole"):
            return open_box(reference_answer) or (found.answer if found else reference_answer)
        return found.answer
    return reference_answer
