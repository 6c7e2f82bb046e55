"""The error of a user's input, told apart from a defect of Ratchet's own."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot work: a file, a column, a setting. The command line exits with 2.

    The message says what was seen, why it cannot work and what to do.
    """
