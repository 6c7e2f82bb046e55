"""Where Ratchet's own packages lie."""

from __future__ import annotations

from pathlib import Path

CODE_ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds `ratchet`, `flows` and the others: a checkout, or where it is installed."""
