"""Published results that tests are held to."""

from __future__ import annotations

from collections.abc import Iterator

GPQA_RIGHT_OF_5 = (
    (19, 3, 2, 2, 4, 1),
    (5, 2, 4, 1, 1, 4),
    (6, 2, 0, 1, 2, 2),
    (3, 5, 1, 0, 2, 9),
    (2, 3, 2, 2, 2, 8),
    (6, 8, 5, 5, 7, 67),
)
"""Problems of GPQA Diamond by how many of 5 completions are right: row of gpt-5-nano-2025-08-07,
column of gpt-5.4-mini-2026-03-17. Counted from the scores that S. Linds published under
Apache-2.0 for https://github.com/UKGovernmentBEIS/inspect_ai/issues/4206 (item ids and scores, no
question); the p-values and intervals given there are those of a paired and of Welch's t-test."""


def gpqa_right_of_5() -> Iterator[tuple[int, int]]:
    """Each of the 198 problems: right completions of nano, and of mini."""
    for nano, row in enumerate(GPQA_RIGHT_OF_5):
        for mini, problems in enumerate(row):
            yield from [(nano, mini)] * problems
