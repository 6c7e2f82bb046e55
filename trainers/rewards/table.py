"""The table of all completions that a GRPO training sampled, with every reward's value.

Texts are held for a while only: they go to disk in parts, which a restart point counts. Memory and
the time of a save don't grow with what was sampled before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.store.files import read_json, replace_with, write_json

FILE = "rewards.parquet"
_COUNT = "rewards.json"
"""In a restart point: how many parts belong to it."""
_HELD_ROWS = 4096
_SAME = 1e-9
"""Rewards that differ by less are taken to be the same."""


class RewardTable:
    """Rows in the order of sampling; a reward has a column of its name, null where it has no value.

    `step` counts from 0; `group` numbers the groups of a step and `attempt` the completions of a
    group. `failure` says which reward failed and why. `parts` is a folder of the training's state;
    parts there that no restart point counted are written over.
    """

    def __init__(self, names: Sequence[str], parts: Path) -> None:
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
        self._parts = parts
        self._finished = 0
        self._held: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        """One more row, by column."""
        self._held.append(row)
        if len(self._held) >= _HELD_ROWS:
            self.flush()

    def flush(self) -> None:
        """Put what is held on disk."""
        if not self._held:
            return
        table = pa.Table.from_pylist(self._held, schema=self._schema)
        self._parts.mkdir(parents=True, exist_ok=True)
        replace_with(self._part(self._finished), lambda file: pq.write_table(table, file))
        self._finished += 1
        self._held.clear()

    def save(self, folder: Path) -> None:
        """Have the restart point in `folder` count what there is."""
        self.flush()
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / _COUNT, {"parts": self._finished})

    def load(self, folder: Path) -> None:
        """Go on from the restart point in `folder`, also from one that holds all rows itself."""
        self._held.clear()
        if (folder / _COUNT).exists():
            self._finished = read_json(folder / _COUNT)["parts"]
        else:  # as they were before rows went to disk in parts
            self._held = pq.read_table(folder / FILE).to_pylist()
            self._finished = 0

    def write(self, folder: Path) -> None:
        """Write the whole table into `folder`: the same bytes, wherever the parts were cut."""
        self.flush()
        folder.mkdir(parents=True, exist_ok=True)
        rest = self._schema.empty_table()
        with pq.ParquetWriter(folder / FILE, self._schema) as file:
            for part in self._files():
                rest = pa.concat_tables([rest, pq.read_table(part)]).combine_chunks()
                while len(rest) >= _HELD_ROWS:
                    file.write_table(rest.slice(0, _HELD_ROWS).combine_chunks())
                    rest = rest.slice(_HELD_ROWS).combine_chunks()
            file.write_table(rest)

    def metrics(self) -> dict[str, int]:
        """Counts of groups, of completions without a reward, and of tokens; texts are not read.

        A group of zero variance teaches nothing: its completions all have the same reward, or at
        most one has any.
        """
        self.flush()
        columns = ["step", "group", "reward", "failure", "num_tokens"]
        rows = [
            row
            for part in self._files()
            for row in pq.read_table(part, columns=columns).to_pylist()
        ]
        groups: dict[tuple[int, int], list[float]] = defaultdict(list)
        for row in rows:
            group = groups[row["step"], row["group"]]
            if row["reward"] is not None:
                group.append(row["reward"])
        flat = [rewards for rewards in groups.values() if _is_flat(rewards)]
        return {
            "completions": len(rows),
            "completions_unrewarded": sum(row["reward"] is None for row in rows),
            "reward_failures": sum(row["failure"] is not None for row in rows),
            "groups": len(groups),
            "groups_zero_variance": len(flat),
            "tokens_learned": sum(row["num_tokens"] for row in rows),
        }

    def _part(self, index: int) -> Path:
        return self._parts / f"part-{index:05d}.parquet"

    def _files(self) -> list[Path]:
        return [self._part(index) for index in range(self._finished)]


def _is_flat(rewards: list[float]) -> bool:
    return len(rewards) < 2 or max(rewards) - min(rewards) < _SAME
