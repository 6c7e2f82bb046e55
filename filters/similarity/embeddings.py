"""Texts as vectors of a local transformers model. Torch is loaded with the first text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.similarity.near_duplicates import Repeat
from ratchet.errors import InputError
from ratchet.policy import checkpoint_digest

CHARACTERS_PER_TOKEN = 20
"""Texts are cut to this many characters for each token that the model reads."""

Vectors = npt.NDArray[np.float32]


class Embedder:
    """Mean of a model's last hidden states over a text's tokens, at unit length.

    Sent to another process it travels as its settings.
    """

    def __init__(self, model: str, *, device: str, batch_size: int, max_tokens: int) -> None:
        """
        Raises:
            InputError: if `model` is no folder with a model.
        """
        self._model_path = str(_folder_of(model))
        self._device_name = device
        self._batch_size = batch_size
        self._max_tokens = max_tokens

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_model", "_tok")}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """[len(texts), hidden size]; a text without tokens is a row of zeros.

        Raises:
            ValueError: if the model's states are not finite.
        """
        parts = [
            self._embed_batch(texts[start : start + self._batch_size])
            for start in range(0, len(texts), self._batch_size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def _embed_batch(self, texts: Sequence[str]) -> Vectors:
        torch = import_module("torch")
        limit = self._max_tokens * CHARACTERS_PER_TOKEN
        readable = [text[:limit].encode(errors="replace").decode() for text in texts]
        inputs = self._tok(
            readable,
            padding=True,
            truncation=True,
            max_length=self._max_tokens,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        ids, mask = inputs["input_ids"].long(), inputs["attention_mask"].long()
        if not ids.shape[1]:
            return np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        device = self._model.device
        with torch.inference_mode():
            states = self._model(input_ids=ids.to(device), attention_mask=mask.to(device))
        return _pooled(states.last_hidden_state.float().cpu().numpy(), mask.numpy())

    @cached_property
    def _tok(self) -> Any:
        made = import_module("transformers").AutoTokenizer.from_pretrained(
            self._model_path, local_files_only=True
        )
        if made.pad_token is None:
            made.pad_token = made.eos_token or made.unk_token
        made.padding_side = "right"
        return made

    @cached_property
    def _model(self) -> Any:
        model = import_module("transformers").AutoModel.from_pretrained(
            self._model_path, local_files_only=True
        )
        return model.eval().to(self._device_name)


def embedding_digest(model: str) -> str:
    """What names the model's content, wherever its folder lies.

    Raises:
        InputError: if `model` is no folder with a model.
    """
    return checkpoint_digest(_folder_of(model))


def _folder_of(model: str) -> Path:
    folder = Path(model)
    if not (folder / "config.json").is_file():
        raise InputError(
            f"model = {model!r} has no config.json; embeddings need the folder of a "
            "transformers model on this machine"
        )
    return folder


def _pooled(states: npt.NDArray[np.float32], mask: npt.NDArray[np.int64]) -> Vectors:
    """Unit means over the tokens that `mask` [texts, tokens] has; states [texts, tokens, size]."""
    weights = mask[:, :, None].astype(np.float32)
    kept = np.where(weights > 0, states, 0.0)
    if not np.isfinite(kept).all():
        raise ValueError("the embedding model's states are not finite; its weights may be broken")
    sums = (kept * weights).sum(axis=1)
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return np.asarray(sums / lengths, np.float32)


def vector_repeats(vectors: Vectors, threshold: float) -> list[Repeat | None]:
    """For each row the kept row before it of the highest cosine, from `threshold` on; None keeps.

    One product of matrices, quadratic in the rows.
    """
    cosines = np.round(vectors @ vectors.T, 6)
    kept: list[int] = []
    repeats: list[Repeat | None] = []
    for at, row in enumerate(cosines):
        near = row[kept]
        if kept and near.max() >= threshold:
            best = int(near.argmax())
            repeats.append(Repeat(kept[best], float(near[best])))
        else:
            kept.append(at)
            repeats.append(None)
    return repeats
