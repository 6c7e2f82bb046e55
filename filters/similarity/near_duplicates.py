"""Texts that share most of their word shingles.

Within a group the Jaccard similarity is exact. Across a whole set it is estimated by MinHash
(Broder 1997, https://doi.org/10.1109/SEQUEN.1997.666900), and only texts that fall into one bucket
of locality-sensitive hashing are compared.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import islice
from math import ceil
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ratchet.texts.plain_words import fold

MAX_READ = 200_000
"""Characters of a text that are compared."""
ALL_PAIRS = 32
"""Groups up to this size compare every pair; larger ones only those that can be near."""
MAX_BUCKET = 64
"""Kept texts of one bucket that a text is compared with; a bucket's later ones are not in it."""
RECALL = 0.98
"""Probability that two texts of just the threshold's similarity are compared across a set."""

_WORD = re.compile(rb"[\w\x80-\xff]+|[-+*/=<>^%]")

Shingles = frozenset[int]


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a text repeats: the kept text's position, and how near or far that is."""

    of: int
    value: float | None = None


def normal_text(text: str) -> str:
    """A text without its case, spacing and compatibility characters; equal texts are repeats."""
    return " ".join(fold(text[:MAX_READ]).split())


def shingles_of(normal: str, size: int) -> Shingles:
    """The hashes of the runs of `size` words and operators, the same in every process.

    A text of fewer words is one shingle.
    """
    words = [crc32(word) for word in _WORD.findall(normal.encode(errors="surrogatepass"))]
    if len(words) < size:
        return frozenset([hash(tuple(words))])
    runs = zip(*(islice(words, start, None) for start in range(size)), strict=False)
    return frozenset(map(hash, runs))


def jaccard(a: frozenset[Any], b: frozenset[Any]) -> float:
    """The share of both sets' members that both hold."""
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)


def near_repeats(texts: Sequence[Shingles], threshold: float) -> list[Repeat | None]:
    """For each text the most similar kept one before it; None keeps it.

    Exact: a text is kept if and only if no kept one before it is as near as `threshold`.
    """
    prefixes = _prefixes(texts, threshold) if len(texts) > ALL_PAIRS else None
    kept: list[int] = []
    holders: defaultdict[int, list[int]] = defaultdict(list)
    repeats: list[Repeat | None] = []
    for at, text in enumerate(texts):
        prefix = prefixes[at] if prefixes else []
        near = {row for gram in prefix for row in holders[gram]} if prefixes else kept
        repeat = _nearest(text, texts, sorted(near), threshold)
        repeats.append(repeat)
        if repeat is None:
            kept.append(at)
            for gram in prefix:
                holders[gram].append(at)
    return repeats


def _nearest(
    text: Shingles, texts: Sequence[Shingles], rows: Iterable[int], threshold: float
) -> Repeat | None:
    best: Repeat | None = None
    for row in rows:
        sizes = sorted((len(text), len(texts[row])))
        if sizes[0] / sizes[1] < threshold:
            continue
        value = jaccard(text, texts[row])
        if value >= threshold and (best is None or best.value is None or value > best.value):
            best = Repeat(row, value)
    return best


def _prefixes(texts: Sequence[Shingles], threshold: float) -> list[list[int]]:
    """Of each text its rarest shingles, so many that two near texts must share one of them.

    Prefix filtering (Bayardo et al. 2007, https://doi.org/10.1145/1242572.1242591).
    """
    counts = Counter(gram for text in texts for gram in text)
    prefixes = []
    for text in texts:
        length = len(text) - ceil(threshold * len(text) - 1e-9) + 1
        prefixes.append(sorted(text, key=lambda gram: (counts[gram], gram))[:length])
    return prefixes


class MinHasher:
    """Makes a text's MinHash; `datasketch` is loaded when the first is made."""

    def __init__(self, permutations: int) -> None:
        self._permutations = permutations

    def __getstate__(self) -> dict[str, Any]:
        return {"_permutations": self._permutations}

    def sketch(self, shingles: Shingles) -> bytes:
        """`permutations` minima of 32 bits each."""
        made = self._empty.copy()
        made.update_batch(shingles)
        return np.asarray(made.hashvalues, np.uint32).tobytes()

    @cached_property
    def _empty(self) -> Any:
        return import_module("datasketch").MinHash(self._permutations, hashfunc=_low_bits)


def _low_bits(shingle: int) -> int:
    return shingle & 0xFFFFFFFF


def band_rows(threshold: float, permutations: int) -> int:
    """How many minima make a band: the most that find a pair at `threshold` with `RECALL`.

    A pair of similarity s shares one of b bands of r minima with probability 1 - (1 - s^r)^b.
    """
    fitting = [
        rows
        for rows in range(1, permutations + 1)
        if 1 - (1 - threshold**rows) ** (permutations // rows) >= RECALL
    ]
    return max(fitting, default=1)


class NearIndex:
    """The kept texts of a set, by the bands of their MinHashes."""

    def __init__(self, threshold: float, permutations: int) -> None:
        rows = band_rows(threshold, permutations)
        self._threshold = threshold
        self._width = 4 * rows
        self._buckets: list[dict[bytes, list[int]]] = [{} for _ in range(permutations // rows)]
        self._kept: list[npt.NDArray[np.uint32]] = []

    def add(self, sketch: bytes) -> Repeat | None:
        """What the text repeats, by its position among the kept; None where it is kept now.

        The value is the estimated Jaccard similarity: the share of equal minima.
        """
        values = np.frombuffer(sketch, np.uint32)
        buckets = self._buckets_of(sketch)
        if rows := sorted({row for bucket in buckets for row in bucket}):
            shares = (np.stack([self._kept[row] for row in rows]) == values).mean(axis=1)
            best = int(shares.argmax())
            if shares[best] >= self._threshold:
                return Repeat(rows[best], float(shares[best]))
        for bucket in buckets:
            if len(bucket) < MAX_BUCKET:
                bucket.append(len(self._kept))
        self._kept.append(values)
        return None

    def _buckets_of(self, sketch: bytes) -> list[list[int]]:
        return [
            bucket.setdefault(sketch[at * self._width : (at + 1) * self._width], [])
            for at, bucket in enumerate(self._buckets)
        ]
