"""The diversity filter: of completions that say the same, one is kept.

Only completions that every required filter before accepted are compared; on the others nothing is
held here. Whatever the measure, texts that are equal but for case and spacing are duplicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from filters.base import UNSCORED, FilterBase, FilterContext, Group, Mark
from filters.similarity.embeddings import Embedder, vector_repeats
from filters.similarity.near_duplicates import (
    MinHasher,
    NearIndex,
    Repeat,
    near_repeats,
    normal_text,
    shingles_of,
)
from filters.similarity.reasoning_paths import equation_repeats
from ratchet.config import NotIdentity
from ratchet.texts.equations.check import signature

Measure = Literal["text", "equations", "near", "embedding"]

UNIQUE = "unique"
_DUPLICATE: dict[Measure, str] = {
    "text": "duplicate_text",
    "equations": "duplicate_equations",
    "near": "near_duplicate",
    "embedding": "near_duplicate_embedding",
}
_THRESHOLDS: dict[Measure, float] = {"near": 0.8, "embedding": 0.95}


class DiversityConfig(FilterBase):
    """What counts as saying the same, and within what."""

    kind: Literal["diversity"] = "diversity"
    by: Measure = "text"
    """`text`: equal but for case and spacing; `equations`: the same equations in the same order;
    `near`: most word shingles in common; `embedding`: near in a model's space."""
    scope: Literal["group", "set"] = "group"
    """`group`: among one problem's completions; `set`: among all problems' completions, where the
    first is kept."""
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """Jaccard similarity or cosine from which on two are duplicates; left out, 0.8 for `near`
    and 0.95 for `embedding`."""
    shingle: Annotated[int, Field(ge=1)] = 3
    """`near`: words in a row that are compared."""
    permutations: Annotated[int, Field(ge=16, le=1024)] = 64
    """`near` across the set: values of a MinHash. The similarity's standard error is at most
    0.5 / sqrt(permutations)."""
    model: str | None = None
    """`embedding`: the folder of a transformers model."""
    device: Annotated[str, NotIdentity()] = "cpu"
    """`embedding`: where the model runs, e.g. `cuda`."""
    batch_size: Annotated[int, NotIdentity(), Field(ge=1)] = 32
    """`embedding`: completions that are read at once."""
    max_tokens: Annotated[int, Field(ge=1)] = 512
    """`embedding`: tokens of a completion that the model reads."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.threshold is not None and self.by not in _THRESHOLDS:
            raise ValueError(f'by = "{self.by}" has no threshold; leave it out, or use by = "near"')
        if (self.by == "embedding") != (self.model is not None):
            raise ValueError('by = "embedding" needs `model`, and nothing else reads it')
        if self.by == "embedding" and self.scope == "set":
            raise ValueError(
                'by = "embedding" compares every pair, which a whole set has too many of; '
                'use scope = "group", or by = "near"'
            )
        return self

    @property
    def limit(self) -> float:
        """The threshold, or the measure's own where none is given."""
        return self.threshold or _THRESHOLDS.get(self.by, 1.0)


def build_diversity(
    config: DiversityConfig, _context: FilterContext
) -> GroupDiversity | SetDiversity:
    """The filter of the config's scope.

    Raises:
        InputError: if there is no embedding model at `model`.
    """
    return SetDiversity(config) if config.scope == "set" else GroupDiversity(config)


class GroupDiversity:
    """Accepts `unique` and `unscored`; rejects with the measure's reason, or `duplicate_text`.

    `unscored` are those that no longer stand and, by equations, those without any. The reward is
    the similarity to the kept completion (by equations, the edit distance in words), and the note
    says which attempt that is.
    """

    def __init__(self, config: DiversityConfig) -> None:
        self._config = config
        self._embedder = _embedder(config)

    def mark_group(self, group: Group) -> list[Mark]:
        """One mark per completion, in order. Of near texts the first is kept."""
        marks = [Mark(True, UNSCORED)] * len(group.completions)
        rows = [at for at, stands in enumerate(group.standing) if stands]
        texts = [group.completions[at].completion for at in rows]
        names = [f"attempt {group.completions[at].attempt}" for at in rows]
        for row, mark in zip(rows, self._mark(texts, names), strict=True):
            marks[row] = mark
        return marks

    def _mark(self, texts: Sequence[str], names: Sequence[str]) -> list[Mark]:
        normals = [normal_text(text) for text in texts]
        firsts: dict[str, int] = {}
        for at, normal in enumerate(normals):
            firsts.setdefault(normal, at)
        rows = list(firsts.values())
        first_names = [names[at] for at in rows]
        judged = self._mark_distinct([texts[at] for at in rows], list(firsts), first_names)
        marks = dict(zip(firsts, zip(judged, first_names, strict=True), strict=True))
        return [
            marks[normal][0] if firsts[normal] == at else _same_text(*marks[normal])
            for at, normal in enumerate(normals)
        ]

    def _mark_distinct(
        self, texts: Sequence[str], normals: Sequence[str], names: Sequence[str]
    ) -> list[Mark]:
        """Marks on texts of which no two are equal."""
        config = self._config
        if config.by == "equations":
            signatures = [signature(text) for text in texts]
            repeats = equation_repeats(texts, signatures)
            return [
                _mark_repeat(config.by, repeat, names) if held else Mark(True, UNSCORED)
                for repeat, held in zip(repeats, signatures, strict=True)
            ]
        if len(texts) < 2 or config.by == "text":
            return [Mark(True, UNIQUE)] * len(texts)
        if self._embedder:
            repeats = vector_repeats(self._embedder.embed(texts), config.limit)
        else:
            shingles = [shingles_of(normal, config.shingle) for normal in normals]
            repeats = near_repeats(shingles, config.limit)
        return [_mark_repeat(config.by, repeat, names) for repeat in repeats]


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is compared of one completion: hashes of 64 bits, or a MinHash.

    `text` is None where the completion doesn't stand, `key` where it is compared as text only.
    """

    name: str
    text: int | None = None
    key: int | bytes | None = None


class SetDiversity:
    """As `GroupDiversity`, across all groups: the first is kept, notes say `PROBLEM_ID/ATTEMPT`.

    Equations are compared across problems too. The state is the hashes, MinHashes and names of
    what was kept, and the hashes of what was not.
    """

    def __init__(self, config: DiversityConfig) -> None:
        self._config = config
        self._hasher = MinHasher(config.permutations)
        self._near = NearIndex(config.limit, config.permutations) if config.by == "near" else None
        self._names: list[str] = []
        self._keys: dict[int, int] = {}
        self._texts: dict[int, tuple[Mark, str]] = {}

    def sketch(self, group: Group) -> list[Sketch]:
        """One for each completion, the same in every process."""
        return [
            self._sketch(f"{completion.problem_id}/{completion.attempt}", completion.completion)
            if stands
            else Sketch(f"{completion.problem_id}/{completion.attempt}")
            for completion, stands in zip(group.completions, group.standing, strict=True)
        ]

    def mark_sketches(self, sketches: Sequence[Sketch]) -> list[Mark]:
        """One mark for each; may be called again for the sketches that follow."""
        return [self._mark(sketch) for sketch in sketches]

    def _sketch(self, name: str, text: str) -> Sketch:
        normal = normal_text(text)
        key: int | bytes | None = None
        if self._config.by == "near":
            key = self._hasher.sketch(shingles_of(normal, self._config.shingle))
        elif self._config.by == "equations" and (held := signature(text)):
            key = _hash(held)
        return Sketch(name, _hash(normal), key)

    def _mark(self, sketch: Sketch) -> Mark:
        if sketch.text is None:
            return Mark(True, UNSCORED)
        if (known := self._texts.get(sketch.text)) is not None:
            return _same_text(*known)
        mark = self._mark_distinct(sketch.key)
        if mark.accepted and sketch.key is not None:
            self._names.append(sketch.name)
        self._texts[sketch.text] = (mark, sketch.name)
        return mark

    def _mark_distinct(self, key: int | bytes | None) -> Mark:
        """The mark on a text that is new; `_names` gets a name for each key that is kept."""
        by = self._config.by
        if key is None:
            return Mark(True, UNSCORED if by == "equations" else UNIQUE)
        if isinstance(key, bytes):
            repeat = self._near.add(key) if self._near else None
        else:
            first = self._keys.setdefault(key, len(self._names))
            repeat = None if first == len(self._names) else Repeat(first)
        return _mark_repeat(by, repeat, self._names)


def _mark_repeat(by: Measure, repeat: Repeat | None, names: Sequence[str]) -> Mark:
    if repeat is None:
        return Mark(True, UNIQUE)
    return Mark(False, _DUPLICATE[by], repeat.value, names[repeat.of])


def _same_text(first: Mark, name: str) -> Mark:
    """The mark on a text that came before: it repeats that one, or what that one repeats."""
    return Mark(False, _DUPLICATE["text"], None, name) if first.accepted else first


def _embedder(config: DiversityConfig) -> Embedder | None:
    if config.model is None:
        return None
    return Embedder(
        config.model,
        device=config.device,
        batch_size=config.batch_size,
        max_tokens=config.max_tokens,
    )


def _hash(text: str) -> int:
    data = text.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
