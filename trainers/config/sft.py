"""Settings of SFT; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ratchet.config import NotIdentity
from trainers.config.base import TrainerBase
from trainers.config.rows import RowsConfig
from trainers.config.trl_arguments import TrlArgument

_SFT_OWNED = {
    "dataset_kwargs": "the trainer itself: rows come tokenized",
    "packing": "the trainer itself: packed rows have no weights; padding_free pads nothing either",
}


class SftConfig(RowsConfig):
    """Supervised fine-tuning on accepted completions, by TRL."""

    OWNED_ARGS: ClassVar[Mapping[str, str]] = {**TrainerBase.OWNED_ARGS, **_SFT_OWNED}

    kind: Literal["sft"] = "sft"
    neftune_noise_alpha: Annotated[float | None, TrlArgument("neftune_noise_alpha")] = Field(
        default=None, gt=0
    )
    """Noise on the embeddings while training (NEFTune, https://arxiv.org/abs/2310.05914, which
    tries 5, 10 and 15); left out, none."""
    padding_free: Annotated[bool, NotIdentity(), TrlArgument("padding_free")] = False
    """Put the rows of a micro-batch end to end instead of padding them to the longest. Steps, rows
    and loss stay what they are. On a GPU it needs flash-attn; without, attention would be computed
    between rows too, only to be masked out."""
