"""Where trackers write: into the run's logs, and not where they would by themselves.

TensorBoard's files would go with the training's state, trackio's into a cache folder of home, and
those of Weights & Biases into the current folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def writing_to(folder: Path, training: str) -> Iterator[None]:
    """Have trackers write below `folder`, save where the user's environment says otherwise.

    `training` names the one within the run, so that curves of several stand beside each other.
    """
    places = {
        "TENSORBOARD_LOGGING_DIR": folder / "tensorboard" / training,
        "TRACKIO_DIR": folder / "trackio",
        "WANDB_DIR": folder / "wandb",
    }
    ours = {name: str(place) for name, place in places.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
