"""The error of a user's input, told apart from a defect of Ratchet's own."""

from __future__ import annotations

from pathlib import Path


def looked_for(path: str | Path) -> str:
    """Where a file of the user's was looked for, for an error's message."""
    if Path(path).is_absolute():
        return f"looked for {path}"
    return (
        f"looked for {Path(path).absolute()}, as relative paths count from the folder that ratchet "
        "is started in"
    )


class InputError(ValueError):
    """What the user gave cannot work: a file, a column, a setting. The command line exits with 2.

    The message says what was seen, why it cannot work and what to do.
    """
