"""Grade-school word problems made on the spot: one to six steps of small-number arithmetic.

They need no download and no licence, and their splits can't overlap by construction.
"""

from ratchet.sources.arithmetic.chains import Limits
from ratchet.sources.arithmetic.generate import LEVELS, SHARES, Split, generate

__all__ = ["LEVELS", "SHARES", "Limits", "Split", "generate"]
