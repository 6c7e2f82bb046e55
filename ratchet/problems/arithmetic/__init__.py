"""Grade-school word problems made on the spot: one to six steps of small-number arithmetic.

They need no download and no licence, and their splits can't overlap by construction.
"""

from ratchet.problems.arithmetic.chains import Limits
from ratchet.problems.arithmetic.generate import LEVELS, SHARES, Split, generate

__all__ = ["LEVELS", "SHARES", "Limits", "Split", "generate"]
