"""The table of all completions that a GRPO training sampled, with every reward's value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FILE = "rewards.parquet"
_SAME = 1e-9
"""Rewards that differ by less are taken to be the same."""


class RewardTable:
    """Rows in the order of sampling; a reward has a column of its name, null where it has no value.

    `step` counts from 0; `group` numbers the groups of a step and `attempt` the completions of a
    group. `failure` says which reward failed and why.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._schema = pa.schema(
            [
                *((name, pa.int64()) for name in ("step", "group", "attempt")),
                *((name, pa.string()) for name in ("problem_id", "completion", "finish_reason")),
                ("num_tokens", pa.int64()),
                *((name, pa.float64()) for name in (*names, "reward", "advantage")),
                ("failure", pa.string()),
            ],
            metadata={"ratchet.schema": "rewards/1"},
        )
        self.rows: list[dict[str, Any]] = []

    def write(self, folder: Path) -> None:
        """Write the file into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(self.rows, schema=self._schema), folder / FILE)

    def read(self, folder: Path) -> None:
        """Go on from what was written into `folder`."""
        self.rows[:] = pq.read_table(folder / FILE).to_pylist()

    def metrics(self) -> dict[str, int]:
        """Counts of groups and of completions without a reward.

        A group of zero variance teaches nothing: its completions all have the same reward, or at
        most one has any.
        """
        groups: dict[tuple[int, int], list[float]] = defaultdict(list)
        for row in self.rows:
            group = groups[row["step"], row["group"]]
            if row["reward"] is not None:
                group.append(row["reward"])
        flat = [rewards for rewards in groups.values() if _is_flat(rewards)]
        return {
            "completions": len(self.rows),
            "completions_unrewarded": sum(row["reward"] is None for row in self.rows),
            "reward_failures": sum(row["failure"] is not None for row in self.rows),
            "groups": len(groups),
            "groups_zero_variance": len(flat),
        }


def _is_flat(rewards: list[float]) -> bool:
    return len(rewards) < 2 or max(rewards) - min(rewards) < _SAME
