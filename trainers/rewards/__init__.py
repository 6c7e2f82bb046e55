"""GRPO's rewards: what they take and give (`base`), Ratchet's own, a user's in its own process.

`scorer` calls them all. Exported here is only what a user's function needs: its process imports it.
"""

from trainers.rewards.base import Sampled

__all__ = ["Sampled"]
