"""Settings of the selection: one class for each kind of training rows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from ratchet.config import Config

Cut = Literal["leave_out", "keep"]
"""What becomes of a completion that was cut at its length limit, though a filter accepted it."""


class SftSelection(Config):
    """Which accepted completions become SFT rows."""

    kind: Literal["sft"] = "sft"
    max_per_problem: Annotated[int, Field(ge=1)] = 4
    """Cap per problem, or easy problems would drown the hard ones."""
    order: Literal["random", "best", "diverse"] = "random"
    """Which of a problem's completions go first: drawn at random, by `reward` from the highest, or
    each time the one farthest from those already taken."""
    reward: str | None = None
    """The filter whose reward `order = "best"` goes by."""
    balance: Literal["none", "uniform", "prop2diff"] = "none"
    """How rows are shared out among problems; see `filters.selection.balance`."""
    max_rows: Annotated[int | None, Field(ge=1)] = None
    """Rows from completions over all problems, given solutions not counted."""
    include_solutions: Annotated[int, Field(ge=0)] = 0
    """How many of the train problems' given solutions are mixed in; such rows have attempt -1."""
    weights: Literal["equal", "per_problem"] = "equal"
    """`per_problem`: the weights of each problem's rows sum to 1."""
    cut: Cut = "leave_out"
    """Completions cut at their length limit may hold a right answer and then run on: they are left
    out, or kept (`keep`) and trained on without an end token."""
    control: Literal["none", "accepted", "completions"] = "none"
    """A matched control for ablations: as many rows of each problem as would be selected, drawn at
    random among its accepted completions, or among all of them."""

    @model_validator(mode="after")
    def _best_by_what(self) -> SftSelection:
        if (self.order == "best") != (self.reward is not None):
            raise ValueError(
                f'order="{self.order}" and reward={self.reward!r} do not go together; '
                'order="best" needs the name of the filter whose reward decides, the others none'
            )
        return self


class DpoSelection(Config):
    """Which completions of a group are paired, an accepted one with a wrong one."""

    kind: Literal["dpo"] = "dpo"
    strategy: Literal["random_pair", "best_worst", "closest_length", "hardest"] = "random_pair"
    """`best_worst` and `hardest` go by `reward`: its largest gap first, or its smallest (a wrong
    completion that looks good against a right one that does not)."""
    reward: str | None = None
    """The filter whose reward the strategy goes by."""
    pairs_per_problem: Annotated[int, Field(ge=1)] = 1
    """Pairs of one problem at most."""
    max_reuse: Annotated[int, Field(ge=1)] = 1
    """Pairs that one completion may be in."""
    wrong_by: str = "orm"
    """The filter that says which completions are wrong; its reward must be 0 for those."""
    cut: Cut = "leave_out"
    """Whether completions cut at their length limit may be chosen; no end token is learned of them.
    A wrong one may be rejected in any case."""

    @model_validator(mode="after")
    def _by_what(self) -> DpoSelection:
        if (self.strategy in ("best_worst", "hardest")) != (self.reward is not None):
            raise ValueError(
                f'strategy="{self.strategy}" and reward={self.reward!r} do not go together; '
                "best_worst and hardest need the name of the filter whose reward decides, the "
                "others none"
            )
        return self


class GrpoSelection(Config):
    """Which problems GRPO samples: those that are solved sometimes."""

    kind: Literal["grpo"] = "grpo"
    min_pass_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Problems that are solved less often are left out."""
    max_pass_rate: Annotated[float, Field(ge=0, le=1)] = 0.99
    """Problems that are solved more often are left out."""
    by: str = "orm"
    """The filter whose reward of 1 means correct."""
    max_rows: Annotated[int | None, Field(ge=1)] = None
    """Problems at most, drawn at random."""

    @model_validator(mode="after")
    def _band(self) -> GrpoSelection:
        if self.min_pass_rate > self.max_pass_rate:
            raise ValueError(
                f"min_pass_rate={self.min_pass_rate} is above max_pass_rate={self.max_pass_rate}, "
                "so no problem would be left"
            )
        return self


def _kind(value: Any) -> str:
    return str(
        value.get("kind", "sft") if isinstance(value, dict) else getattr(value, "kind", "sft")
    )


SelectionConfig = Annotated[
    Annotated[SftSelection, Tag("sft")]
    | Annotated[DpoSelection, Tag("dpo")]
    | Annotated[GrpoSelection, Tag("grpo")],
    Discriminator(_kind),
]
"""Any selection's settings; `kind` may be left out for SFT."""


def named_filters(config: SftSelection | DpoSelection | GrpoSelection) -> dict[str, str]:
    """The filters that a selection goes by: setting -> name."""
    match config:
        case SftSelection():
            named = {"reward": config.reward}
        case DpoSelection():
            named = {"reward": config.reward, "wrong_by": config.wrong_by}
        case GrpoSelection():
            named = {"by": config.by}
    return {setting: name for setting, name in named.items() if name is not None}
