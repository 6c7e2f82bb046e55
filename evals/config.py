"""Settings of evaluation, gate and guards. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ratchet.config import Config, NotIdentity
from ratchet.generation.decoding import DecodingConfig, GroupSize, Temperature
from ratchet.texts.language.writing_systems import require_language

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Level = Annotated[float, Field(gt=0.0, lt=1.0)]
Metric: TypeAlias = Literal[
    "accuracy", "pass_at_k", "maj_at_k", "truncated", "no_answer", "length", "language"
]
"""What a guard watches; of `truncated`, `no_answer` and `length` less is better."""


class EvalConfig(DecodingConfig):
    """How a checkpoint is evaluated: on dev as the gate's looks say, elsewhere by `group_size`."""

    temperature: Temperature = 0.6
    """Of every decision, and of the means on test; 0 is greedy: one completion, one look."""
    group_size: GroupSize = 4
    """Completions of each problem on test and the guards; 1 where greedy. Dev has the gate's."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    """Of the intervals around each figure in reports."""
    language: str = ""
    """ISO 639-1 code: measure the share of completions in this language; empty for not at all."""

    @model_validator(mode="before")
    @classmethod
    def _greedy_draws_one(cls, table: Any) -> Any:
        if isinstance(table, Mapping) and table.get("temperature") == 0:
            return {"group_size": 1, **table}
        return table

    @field_validator("language")
    @classmethod
    def _is_known(cls, language: str) -> str:
        return require_language(language) if language else ""


class GateBase(Config):
    """What all gates have."""

    alpha: Level = 0.05
    """Largest chance, over the whole run, that a candidate which is no better is promoted."""
    schedule: Literal["planned", "open"] = "planned"
    """How alpha is shared out: `planned` evenly over the run's `iterations`; `open`, for a run
    without a planned end, by 6 / (pi * t)^2 to the t-th decision."""
    smallest_gain: Level = 0.02
    """The gain that would be worth having (0.02 is two points): where the gate could not see it,
    the verdict is "underpowered"."""
    max_unscored: Share = 0.01
    """Largest share of either side's completions without a verdict before no decision is made, on
    dev and on each guard. Those within it count against the candidate."""
    max_unscored_difference: Share = 0.01
    """Largest difference between the two sides' shares: it counts where `max_unscored` is raised
    for a benchmark that is hard to grade."""
    pinned: tuple[str, ...] = ()
    """Ids of dev problems that may not regress: solved by most of the incumbent's completions, and
    not by most of the candidate's."""
    aa: Annotated[bool, NotIdentity()] = False
    """Before the first iteration, put the base model to gate and guards against itself, and say
    what they would have decided."""


class PairedGate(GateBase):
    """One-sided t-test on each problem's mean over K completions, in looks at growing K."""

    kind: Literal["paired"] = "paired"
    """Paired by problem; McNemar's exact test (mid-p) where evaluation is greedy."""
    looks: Annotated[tuple[GroupSize, ...], Field(min_length=1)] = (2, 4, 8)
    """Completions of each dev problem at each look; a later look pays only for what is new."""
    spend: tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...] = ()
    """Each look's share of the decision's level; left out, most of it goes to the last."""
    futility: bool = True
    """Stop between the first look and the last where the candidate is behind."""

    @model_validator(mode="after")
    def _looks_grow(self) -> Self:
        if list(self.looks) != sorted(set(self.looks)):
            raise ValueError(f"looks={list(self.looks)} must grow, as each adds completions")
        if self.spend and len(self.spend) != len(self.looks):
            raise ValueError(f"{len(self.spend)} shares in spend for {len(self.looks)} looks")
        if self.spend and abs(sum(self.spend) - 1) > 1e-6:
            raise ValueError(f"spend={list(self.spend)} sums to {sum(self.spend):g}, not to 1")
        return self


class McNemarGate(GateBase):
    """McNemar's exact test (mid-p) on one completion of each problem."""

    kind: Literal["mcnemar"] = "mcnemar"
    """One completion of each dev problem."""


class MinGainGate(GateBase):
    """Promotes whatever gains `min_gain` or more; no test, so chance promotes too."""

    kind: Literal["min_gain"] = "min_gain"
    """A plain threshold. docs/gates.md says how often it is fooled."""
    min_gain: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    """Smallest difference of the means that promotes (0.01 is one point)."""
    group_size: GroupSize = 4
    """Completions of each dev problem."""


class ManualGate(GateBase):
    """A person decides: the run suspends with the numbers shown until `ratchet decide`."""

    kind: Literal["manual"] = "manual"
    """The test's numbers are shown; they decide nothing."""
    group_size: GroupSize = 4
    """Completions of each dev problem."""


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("kind", "paired"))
    return str(getattr(value, "kind", "paired"))


GateConfig: TypeAlias = Annotated[
    Annotated[PairedGate, Tag("paired")]
    | Annotated[McNemarGate, Tag("mcnemar")]
    | Annotated[MinGainGate, Tag("min_gain")]
    | Annotated[ManualGate, Tag("manual")],
    Discriminator(_kind),
]
"""Any gate's settings; `kind` may be left out for `paired`."""


def looks_of(gate: GateConfig, evaluation: EvalConfig) -> tuple[int, ...]:
    """Completions of each dev problem at each look of a gate: one, once, where greedy."""
    if evaluation.temperature == 0:
        return (1,)
    match gate:
        case PairedGate():
            return gate.looks
        case McNemarGate():
            return (1,)
        case MinGainGate() | ManualGate():
            return (gate.group_size,)


class GuardConfig(Config):
    """A benchmark, or a figure, that must not get worse: a test of non-inferiority."""

    metric: Metric = "accuracy"
    """What is watched: the mean correctness, `pass_at_k`, `maj_at_k`, the shares `truncated`,
    `no_answer` and in the eval's `language`, or the mean `length` in tokens."""
    k: Annotated[int | None, Field(ge=1)] = None
    """The k of pass_at_k and maj_at_k; left out, all completions of a problem."""
    margin: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.02
    """Tolerated loss, as a share (0.02 is two points); of `length`, as a share of the incumbent's.
    A loss of twice the margin is refused but for a chance of `alpha`."""
    alpha: Level = 0.05
    """Largest chance that a loss of twice the margin is let pass: the test's level."""
    group_size: GroupSize | None = None
    """Completions of each of its problems; left out, the eval's."""

    def drawn(self, evaluation: EvalConfig) -> int:
        """Completions of each of its own problems: one where greedy."""
        if evaluation.temperature == 0:
            return 1
        return self.group_size or evaluation.group_size
