"""The optimizer's state from one training to the next, in a file beside the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ratchet.errors import InputError
from ratchet.policy import Policy

FILE = "optimizer.pt"


def left_by(policy: Policy) -> Path | None:
    """The state that the training of a checkpoint has left; None if it left none.

    A base model has none, even if a file of that name lies beside it.
    """
    if policy.iteration < 0 or policy.adapter is not None:
        return None
    path = Path(policy.model).parent / FILE
    return path if path.is_file() else None


def save(optimizer: Any, name: str, folder: Path) -> None:
    """Write the state, twice the size of the weights in float32 for Adam, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(
        {"optimizer": name, "state": _on_cpu(optimizer.state_dict()["state"])}, folder / FILE
    )


def load(optimizer: Any, name: str, path: Path) -> None:
    """Have `optimizer` go on from a state; learning rate and weight decay stay its own.

    Raises:
        InputError: if the state is another optimizer's.
    """
    saved = torch.load(path, map_location="cpu", weights_only=True)
    if saved["optimizer"] != name:
        raise InputError(
            f"the incumbent's optimizer state is of {saved['optimizer']}, but trainer.optimizer is "
            f'{name!r}; keep the optimizer, or set carry_optimizer = false or start_from = "base"'
        )
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})


def _on_cpu(state: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {
        index: {k: v.cpu() if torch.is_tensor(v) else v for k, v in values.items()}
        for index, values in state.items()
    }
