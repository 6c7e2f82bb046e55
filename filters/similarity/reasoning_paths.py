"""Reasoning paths that differ in words only: of those with the same equations, one is kept.

After rejection-sampling fine-tuning (RFT, Yuan et al. 2023, https://arxiv.org/abs/2308.01825).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from filters.similarity.near_duplicates import Repeat

MAX_WORDS = 1000
"""Words of a text that its edit distances are counted on."""
MAX_VARIANTS = 8
"""Paths with the same equations that are weighed against each other, the first ones."""
MAX_OTHERS = 16
"""Other kept paths that each is weighed by, the first ones. With the bound above, the edit
distances of a group are at most 17 for each completion."""

Distance = Callable[[int, int], int]


def equation_repeats(texts: Sequence[str], signatures: Sequence[str]) -> list[Repeat | None]:
    """For each text the kept one with the same equations; None keeps it.

    Of each signature that path is kept whose edit distances, in words, to the kept paths of the
    other signatures add up to most; the first of several. Signatures are settled in the order in
    which they come first; one that isn't settled yet stands as its first path. An empty signature
    repeats nothing. The value of a repeat is its edit distance to the kept path.
    """
    variants: dict[str, list[int]] = {}
    for at, signature in enumerate(signatures):
        if signature:
            variants.setdefault(signature, []).append(at)
    distance = _remembered([text.split()[:MAX_WORDS] for text in texts])
    kept = {signature: rows[0] for signature, rows in variants.items()}
    for signature, rows in variants.items():
        if len(rows) > 1:
            others = [row for other, row in kept.items() if other != signature][:MAX_OTHERS]
            kept[signature] = _farthest(rows[:MAX_VARIANTS], others, distance)
    return [
        None
        if not signature or kept[signature] == at
        else Repeat(kept[signature], float(distance(at, kept[signature])))
        for at, signature in enumerate(signatures)
    ]


def _farthest(rows: Sequence[int], others: Sequence[int], distance: Distance) -> int:
    totals = [sum(distance(row, other) for other in others) for row in rows]
    return rows[totals.index(max(totals))]


def _remembered(words: Sequence[Sequence[str]]) -> Distance:
    known: dict[tuple[int, int], int] = {}

    def distance(a: int, b: int) -> int:
        pair = (min(a, b), max(a, b))
        if pair not in known:
            known[pair] = edit_distance(words[pair[0]], words[pair[1]])
        return known[pair]

    return distance


def _differing(a: Sequence[str], b: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Two texts without what they begin and end with alike, which costs no edit."""
    shorter = min(len(a), len(b))
    start = next((at for at in range(shorter) if a[at] != b[at]), shorter)
    left = shorter - start
    end = next((at for at in range(left) if a[-1 - at] != b[-1 - at]), left)
    return a[start : len(a) - end], b[start : len(b) - end]


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """How many words must be put in, taken out or replaced to make `a` into `b`.

    One column of the table is two integers of len(a) bits, its rises and its falls (Myers 1999,
    https://doi.org/10.1145/316542.316550, as Hyyrö 2003 has it for whole texts), so that time is
    len(b) additions of such integers. A column begins at its number and ends at the distance.
    """
    a, b = _differing(a, b)
    if not a:
        return len(b)
    places: dict[str, int] = {}
    for at, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << at
    full = (1 << len(a)) - 1
    rises, falls = full, 0
    for word in b:
        equal = places.get(word, 0)
        level = (((equal & rises) + rises) ^ rises) | equal | falls
        up = (falls | (full & ~(level | rises))) << 1 | 1
        down = (rises & level) << 1
        rises, falls = (down | ~(level | up)) & full, up & level & full
    return len(b) + rises.bit_count() - falls.bit_count()
