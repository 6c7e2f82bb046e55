"""The replay engine: recorded completions in place of a model. It needs no tokenizer."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ratchet.engine import Group, Output, Request, Sampling
from ratchet.errors import InputError
from ratchet.policy import Policy
from samplers.config import ReplayEngineConfig, recorded_files

_NEEDED = ("problem_id", "attempt", "completion")
_GROUPS_PER_STEP = 64
BASE_ITERATION = -1
NOT_RECORDED = "not_recorded"


@dataclass(frozen=True, slots=True)
class _Recorded:
    attempt: int
    output: Output
    prompt: str | None
    num_prompt_tokens: int


def _rows_of(file: Path) -> Iterator[dict[str, Any]]:
    if file.suffix == ".parquet":
        for batch in pq.ParquetFile(file).iter_batches():
            yield from batch.to_pylist()
        return
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise InputError(f"{file}:{number} is no JSON: {error}") from None


def _recorded(row: dict[str, Any], file: Path) -> _Recorded:
    missing = [name for name in _NEEDED if row.get(name) is None]
    if missing:
        raise InputError(f"{file} has a row without {', '.join(missing)}; seen: {sorted(row)}")
    reason = row.get("finish_reason") or "stop"
    if reason not in ("stop", "length", "error"):
        raise InputError(f"{file} has finish_reason {reason!r}; expected stop, length or error")
    output = Output(row["completion"], reason, row.get("num_tokens") or 0, row.get("logprob"))
    return _Recorded(row["attempt"], output, row.get("prompt"), row.get("num_prompt_tokens") or 0)


class ReplayEngine:
    """Answers each problem with its recorded completions, in the order of their attempts.

    Rows with a `policy_iteration` answer for the policy of that iteration and, where nothing later
    is recorded, for those after it; rows without one answer for every policy.
    """

    def __init__(self, config: ReplayEngineConfig) -> None:
        self._config = config
        self._recording: dict[int, dict[str, list[_Recorded]]] = {}
        self._iteration = BASE_ITERATION
        self._queue: deque[Request] = deque()

    def load(self, policy: Policy) -> None:
        """Take the recording of `policy`.

        Raises:
            InputError: if the recording is missing, or no row is for this policy.
        """
        if not self._recording:
            self._read()
        recorded = sorted(self._recording)
        at = bisect_right(recorded, policy.iteration)
        if not at:
            raise InputError(
                f"engine.path {self._config.path!r} holds policy_iteration {recorded}, nothing for "
                f"the policy of iteration {policy.iteration} or one before it"
            )
        self._iteration = recorded[at - 1]

    def _read(self) -> None:
        for file in recorded_files(self._config.path):
            for row in _rows_of(file):
                iteration = row.get("policy_iteration")
                at = BASE_ITERATION if iteration is None else iteration
                groups = self._recording.setdefault(at, {})
                groups.setdefault(str(row.get("problem_id")), []).append(_recorded(row, file))
        if not self._recording:
            raise InputError(f"engine.path {self._config.path!r} holds no rows")
        for groups in self._recording.values():
            for group in groups.values():
                group.sort(key=lambda recorded: recorded.attempt)

    def configure(self, sampling: Sampling) -> None:
        """A recording is what it is."""

    def add(self, request: Request) -> None:
        self._queue.append(request)

    def cancel(self) -> None:
        self._queue.clear()

    def step(self) -> list[Group]:
        count = min(_GROUPS_PER_STEP, len(self._queue))
        return [self._answer(self._queue.popleft()) for _ in range(count)]

    def _answer(self, request: Request) -> Group:
        recorded = self._recording[self._iteration].get(request.problem_id, [])
        source = cycle(recorded) if self._config.when_short == "repeat" else iter(recorded)
        outputs = [item.output for item in islice(source, request.num_completions)]
        missing = request.num_completions - len(outputs)
        outputs += [Output("", "error", 0)] * missing
        return Group(
            request.problem_id,
            (recorded[0].prompt if recorded else None) or request.problem,
            recorded[0].num_prompt_tokens if recorded else 0,
            tuple(outputs),
            error=NOT_RECORDED if missing else None,
        )

    @property
    def pending(self) -> int:
        return len(self._queue)

    def release_device(self) -> None:
        """Nothing is held."""
