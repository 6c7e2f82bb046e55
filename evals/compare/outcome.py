"""The verdict on a run: what base and final policy make of the test set, paired."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from evals.attempts import gather
from evals.compare.paired_comparison import PairedComparison, compare
from evals.config import EvalConfig
from ratchet.progress import Progress, silent
from ratchet.records import EvalRow
from ratchet.store.artifacts import Artifact, Workspace
from ratchet.store.identity import ArtifactSpec

VERSION = 1
_SHOWN = 20
"""Problems that are listed of those on which the two differ."""

Pair = tuple[Artifact, Artifact]
"""Evaluations of base and final on test."""


@dataclass(frozen=True, kw_only=True)
class OutcomeInputs:
    """Both policies' evaluations on test: greedy, and sampled as the run evaluates.

    `iteration` trained the final policy; -1 where nothing was promoted.
    """

    greedy: Pair
    sampled: Pair | None
    iteration: int
    progress: Progress = silent


def spec(config: EvalConfig, inputs: OutcomeInputs) -> ArtifactSpec:
    """The artifact of what these evaluations say."""
    pairs = {"greedy": inputs.greedy, "sampled": inputs.sampled}
    return ArtifactSpec(
        stage="outcome",
        version=VERSION,
        settings={"confidence": config.confidence, "iteration": inputs.iteration},
        inputs={
            f"{name}.{role}": artifact.fingerprint
            for name, pair in pairs.items()
            if pair
            for role, artifact in zip(("base", "final"), pair, strict=True)
        },
    )


def run(config: EvalConfig, inputs: OutcomeInputs, out: Workspace) -> dict[str, Any]:
    """Compare, and say in one sentence what came of the run; the metrics are all there is."""
    if inputs.iteration < 0:
        return {
            "best_iteration": None,
            "greedy": None,
            "sampled": None,
            "sentence": "nothing was promoted: the base model is the run's best",
        }
    greedy = _compared(config, inputs.greedy)
    sampled = _compared(config, inputs.sampled) if inputs.sampled else None
    return {
        "best_iteration": inputs.iteration,
        "greedy": _told(greedy),
        "sampled": _told(sampled) if sampled else None,
        "sentence": _sentence(inputs.iteration, greedy, sampled),
    }


def _compared(config: EvalConfig, pair: Pair) -> PairedComparison | None:
    """None where nothing of the test set could be asked or graded on either side."""
    base, final = (gather(artifact.rows(EvalRow)) for artifact in pair)
    if not any(each.was_asked for each in (*base.values(), *final.values())):
        return None
    return compare(base, final, names=("base", "final"), confidence=config.confidence)


def _told(compared: PairedComparison | None) -> dict[str, Any] | None:
    if compared is None:
        return None
    return {**asdict(compared), "discordant": len(compared.discordant)} | {
        "regressed": len(compared.regressions),
        "regressions": list(compared.regressions[:_SHOWN]),
    }


def _sentence(
    iteration: int, greedy: PairedComparison | None, sampled: PairedComparison | None
) -> str:
    """The verdict, by the sampled completions where there are some: they say more."""
    means = [(name, each) for name, each in (("greedy", greedy), ("", sampled)) if each]
    if not means:
        return f"iteration {iteration} is the run's best; the test set could not be asked"
    figures = ", ".join(_figure(name, each) for name, each in means)
    told = f"iteration {iteration} is the run's best: on test {figures} against the base model"
    _, decisive = means[-1]
    if decisive.verdict == "better":
        return told
    doubt = "is a loss" if decisive.verdict == "worse" else "could be noise"
    needs = decisive.needs_problems
    more = f"; about {needs:,} problems would tell" if needs and decisive.verdict != "worse" else ""
    return f"{told}; what dev promoted {doubt} on test{more}"


def _figure(name: str, compared: PairedComparison) -> str:
    named = name or f"mean@{compared.k}"
    low, high = 100 * compared.low, 100 * compared.high
    return f"{100 * compared.difference:+.1f} points [{low:+.1f}, {high:+.1f}] ({named})"
