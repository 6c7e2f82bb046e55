"""Equations that a solution writes down, and whether each of them holds: `check` is the way in."""
