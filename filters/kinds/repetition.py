"""The repetition filter: texts that go in circles, word by word, line by line, or throughout."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from filters.base import UNSCORED, FilterBase, FilterContext, Mark
from ratchet.records import Completion, Problem

MAX_READ = 200_000
"""Characters of a completion that are looked at; its end, where loops are."""


class RepetitionConfig(FilterBase):
    """How much of a completion may repeat itself."""

    kind: Literal["repetition"] = "repetition"
    ngram: Annotated[int, Field(ge=1)] = 6
    """Words in a row that count as a repetition when they come again."""
    max_ngram_share: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Largest share of n-grams that have come before."""
    max_line_share: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Largest share of lines that have come before."""
    min_compressed: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Smallest size that deflate may bring a text down to, as a share of its bytes."""
    min_words: Annotated[int, Field(ge=1)] = 30
    """Texts of fewer words are `unscored`: nothing can be said of their repetitions."""


class Repetition:
    """Accepts `varied`; else `repeated_ngrams`, `repeated_lines` or `compressible`.

    The reward is the share that decided; that of the n-grams where the text is varied.
    """

    def __init__(self, config: RepetitionConfig, _context: FilterContext) -> None:
        self._config = config

    def mark(self, _problem: Problem, completion: Completion) -> Mark:
        """One completion's mark."""
        config, text = self._config, completion.completion[-MAX_READ:]
        words = text.split()
        if len(words) < config.min_words and len(text) < 8 * config.min_words:
            return Mark(True, UNSCORED)
        ngrams = repeated_share(_ngrams(words, config.ngram))
        if ngrams > config.max_ngram_share:
            return Mark(False, "repeated_ngrams", ngrams)
        lines = repeated_share([line.strip() for line in text.splitlines() if line.strip()])
        if lines > config.max_line_share:
            return Mark(False, "repeated_lines", lines)
        compressed = compressed_share(text)
        if compressed < config.min_compressed:
            return Mark(False, "compressible", compressed)
        return Mark(True, "varied", ngrams)


def _ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def repeated_share(items: Sequence[object]) -> float:
    """The share of `items` that have come before; 0 for none."""
    return 1 - len(set(items)) / len(items) if items else 0.0


def compressed_share(text: str) -> float:
    """The size of `text` after deflate as a share of its size in UTF-8; 1 for an empty text."""
    raw = text.encode("utf-8", "replace")
    return len(zlib.compress(raw, 1)) / len(raw) if raw else 1.0
