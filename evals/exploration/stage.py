"""The exploration stage: figures on one iteration's completions of the train problems.

Memory holds one part, and a few numbers for each problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq

from evals.exploration.config import ExplorationConfig
from evals.exploration.figures import Rows, against_base, summary
from evals.exploration.monitor import ExplorationRow, ExploredCompletion, explore
from ratchet.progress import Progress, Step, silent
from ratchet.store.artifacts import Artifact, Workspace
from ratchet.store.identity import ArtifactSpec

VERSION = 1
_COMPLETION = [
    "problem_id",
    "attempt",
    "completion",
    "finish_reason",
    "num_tokens",
    "logprob",
    "temperature",
]
_VERDICT = ["problem_id", "attempt", "filter", "accepted", "reward"]
Verdicts = Mapping[tuple[str, int], Mapping[str, tuple[bool, float | None]]]
"""(accepted, reward) by completion and filter."""


@dataclass(frozen=True, kw_only=True)
class ExplorationInputs:
    """What the stage reads.

    `base` is this stage's artifact of the base model's samples, which are those of iteration 0;
    None for that iteration itself. `wanted_per_problem` is n* of the balance score: the rows of a
    problem that a training would take.
    """

    completions: Artifact
    verdicts: Artifact
    base: Artifact | None
    iteration: int
    wanted_per_problem: int
    progress: Progress = silent


def spec(config: ExplorationConfig, inputs: ExplorationInputs) -> ArtifactSpec:
    """The figures on these completions; the config is about what is made of them."""
    base = {"base": inputs.base.fingerprint} if inputs.base else {}
    return ArtifactSpec(
        stage="explore",
        version=VERSION,
        settings={
            "iteration": inputs.iteration,
            "wanted_per_problem": inputs.wanted_per_problem,
        },
        inputs={
            "completions": inputs.completions.fingerprint,
            "verdicts": inputs.verdicts.fingerprint,
            **base,
        },
    )


def run(config: ExplorationConfig, inputs: ExplorationInputs, out: Workspace) -> dict[str, Any]:
    """Write one row for each problem; the metrics are the iteration's figures.

    Where no filter is an `orm`, nothing has a verdict: the figures that need one are None.
    """
    judges = _Judges.of(inputs.verdicts)
    files = list(zip(inputs.completions.part_files(), inputs.verdicts.part_files(), strict=True))
    tokens = TokenCounts()
    rows: dict[str, ExplorationRow] = {}
    for index, (completions, verdicts) in enumerate(files):
        found = [
            explore(name, group)
            for name, group in _groups(completions, _verdicts(verdicts), judges, tokens)
        ]
        out.write_part(index, found, ExplorationRow)
        rows.update((row.problem_id, row) for row in found)
        inputs.progress(Step(index + 1, len(files)))
    return {
        "iteration": inputs.iteration,
        **summary(rows, inputs.wanted_per_problem),
        **tokens.metrics(),
        "base": against_base(rows, _rows_of(inputs.base)) if inputs.base else None,
    }


def _rows_of(artifact: Artifact) -> Rows:
    return {row.problem_id: row for row in artifact.rows(ExplorationRow)}


@dataclass(frozen=True, slots=True)
class _Judges:
    """The filters that say what is right and what is accepted, by the names in verdicts."""

    outcome: str | None
    required: Sequence[str]

    @classmethod
    def of(cls, verdicts: Artifact) -> Self:
        """As the filter stage's own record has them."""
        filters = verdicts.manifest.settings["filters"]
        labels = [(each["name"] or each["kind"], each) for each in filters]
        outcome = next((label for label, each in labels if each["kind"] == "orm"), None)
        return cls(outcome, [label for label, each in labels if each["mode"] == "require"])

    def judged(
        self, row: Mapping[str, Any], verdicts: Mapping[str, tuple[bool, float | None]]
    ) -> ExploredCompletion:
        reward = verdicts[self.outcome][1] if self.outcome else None
        return ExploredCompletion(
            text=row["completion"],
            tokens=row["num_tokens"],
            logprob=row["logprob"],
            correct=None if reward is None else reward == 1.0,
            accepted=all(verdicts[name][0] for name in self.required),
        )


def _verdicts(file: Path) -> Verdicts:
    found: dict[tuple[str, int], dict[str, tuple[bool, float | None]]] = {}
    columns = pq.read_table(file, columns=_VERDICT).to_pydict()
    for name, attempt, label, accepted, reward in zip(*columns.values(), strict=True):
        found.setdefault((name, attempt), {})[label] = accepted, reward
    return found


def _groups(
    file: Path, verdicts: Verdicts, judges: _Judges, tokens: TokenCounts
) -> Iterator[tuple[str, list[ExploredCompletion]]]:
    """Each problem's completions that the engine made, counted on the way."""
    rows = pq.read_table(file, columns=_COMPLETION).to_pylist()
    for name, group in groupby(rows, key=lambda row: row["problem_id"]):
        made = [row for row in group if row["finish_reason"] != "error"]
        for row in made:
            tokens.add(row)
        yield name, [judges.judged(row, verdicts[name, row["attempt"]]) for row in made]


@dataclass
class TokenCounts:
    """Lengths and log probabilities of the completions seen so far."""

    completions: int = 0
    tokens: int = 0
    nats: float = 0.0
    tokens_with_logprob: int = 0
    temperatures: set[float] = field(default_factory=set)

    def add(self, row: Mapping[str, Any]) -> None:
        self.completions += 1
        self.tokens += row["num_tokens"]
        self.temperatures.add(row["temperature"])
        if row["logprob"] is not None:
            self.nats -= row["logprob"]
            self.tokens_with_logprob += row["num_tokens"]

    def metrics(self) -> dict[str, Any]:
        """Means; None where tokens were not counted, or the engine gave no log probabilities.

        `nats_per_token` estimates the policy's entropy on its own samples. It is unbiased only
        where they were drawn at temperature 1 and top_p 1: an engine gives the model's own
        probabilities, whatever the temperature.
        """
        per_token = self.nats / self.tokens_with_logprob if self.tokens_with_logprob else None
        return {
            "mean_tokens": self.tokens / self.completions if self.tokens else None,
            "nats_per_token": per_token,
            "temperatures": sorted(self.temperatures),
        }
