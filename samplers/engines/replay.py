"""The replay engine: recorded completions in place of a model. It needs no tokenizer."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, get_args

import pyarrow.parquet as pq

from ratchet.errors import InputError
from ratchet.generation.engine import Output, Request, SampledGroup, Sampling, group_of
from ratchet.policy import Policy
from ratchet.records import FinishReason
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
    reason: FinishReason = row.get("finish_reason") or "stop"
    if reason not in get_args(FinishReason):
        known = ", ".join(get_args(FinishReason))
        raise InputError(f"{file} has finish_reason {reason!r}; expected one of {known}")
    output = Output(row["completion"], reason, row.get("num_tokens") or 0, row.get("logprob"))
    return _Recorded(row["attempt"], output, row.get("prompt"), row.get("num_prompt_tokens") or 0)


class ReplayEngine:
    """Answers each problem with its recorded completions, in the order of their attempts.

    Of a problem's rows, those answer whose `policy_iteration` is the policy's, or else the largest
    before it. A row without one counts as the base model's, so it answers for every policy that
    has no row of its own.
    """

    def __init__(self, config: ReplayEngineConfig) -> None:
        self._config = config
        self._recording: dict[str, dict[int, list[_Recorded]]] = {}
        self._iteration = BASE_ITERATION
        self._queue: deque[Request] = deque()

    def load(self, policy: Policy) -> None:
        """Answer for `policy` from now on.

        Raises:
            InputError: if the recording is missing, empty or malformed.
        """
        if not self._recording:
            self._read()
        self._iteration = policy.iteration

    def _read(self) -> None:
        for file in recorded_files(self._config.path):
            for row in _rows_of(file):
                recorded = _recorded(row, file)
                iteration = row.get("policy_iteration")
                at = BASE_ITERATION if iteration is None else iteration
                by_iteration = self._recording.setdefault(str(row["problem_id"]), {})
                by_iteration.setdefault(at, []).append(recorded)
        if not self._recording:
            raise InputError(f"engine.path {self._config.path!r} holds no rows")
        for by_iteration in self._recording.values():
            for group in by_iteration.values():
                group.sort(key=lambda recorded: recorded.attempt)

    def _recorded_for(self, problem_id: str) -> list[_Recorded]:
        by_iteration = self._recording.get(problem_id, {})
        usable = [iteration for iteration in by_iteration if iteration <= self._iteration]
        return by_iteration[max(usable)] if usable else []

    def configure(self, sampling: Sampling) -> None:
        """A recording is what it is."""

    def add(self, request: Request) -> None:
        """Queue a request.

        Raises:
            InputError: if it has a prefix.
        """
        if request.prefix:
            raise InputError(
                "a recording holds whole completions, so it can't go on from the beginning of one; "
                "use a sampler that asks for none, or an engine with a model"
            )
        self._queue.append(request)

    def cancel(self) -> None:
        self._queue.clear()

    def step(self) -> list[SampledGroup]:
        count = min(_GROUPS_PER_STEP, len(self._queue))
        return [self._answer(self._queue.popleft()) for _ in range(count)]

    def _answer(self, request: Request) -> SampledGroup:
        recorded = self._recorded_for(request.problem_id)
        source = cycle(recorded) if self._config.when_short == "repeat" else iter(recorded)
        first = request.first_attempt
        asked = islice(source, first, first + request.num_completions)
        outputs = [item.output for item in asked]
        missing = request.num_completions - len(outputs)
        outputs += [Output("", "error", 0)] * missing
        return group_of(
            request,
            (recorded[0].prompt if recorded else None) or request.problem,
            recorded[0].num_prompt_tokens if recorded else 0,
            tuple(outputs),
            NOT_RECORDED if missing else None,
        )

    @property
    def pending(self) -> int:
        return len(self._queue)

    @property
    def unfinished(self) -> int:
        return sum(request.num_completions for request in self._queue)

    def release_device(self) -> None:
        """Nothing is held."""
