"""Settings of GRPO's rewards; importable without torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ratchet import dotted_path
from ratchet.config import Config, NotIdentity, of_form
from ratchet.texts.language.writing_systems import OWN_LANGUAGE, LanguageSetting

_PLACE = ("step", "group", "attempt", "problem_id")
_FOUND = ("completion", "num_tokens", "finish_reason", "reward", "advantage", "failure")
RESERVED = frozenset({*_PLACE, *_FOUND})
"""Columns of the table of rewards that are no reward's."""

Name = Annotated[str, of_form(r"[a-z][a-z0-9_]*", "lower-case letters, digits and '_'")]


class RewardBase(Config):
    """What every reward has. A completion's reward is the sum of `weight` times value."""

    weight: float = 1.0
    """What its value is multiplied by in the sum; below 0 it is a punishment."""


class CorrectReward(RewardBase):
    """1 where the grader finds the final answer equal to the reference, else 0."""

    kind: Literal["correct"] = "correct"
    name: Name = "correct"
    """Its column in the table of rewards; two rewards of one kind need two names."""


class PartialReward(RewardBase):
    """1 where correct; else the smaller number over the larger one of answer and reference.

    0 where either is no plain number, their signs differ, or there is no answer.
    """

    kind: Literal["partial"] = "partial"
    name: Name = "partial"
    """Its column in the table of rewards; two rewards of one kind need two names."""


class FormatReward(RewardBase):
    """How far the completion has the form, as the format filter sees it."""

    kind: Literal["format"] = "format"
    name: Name = "format"
    """Its column in the table of rewards; two rewards of one kind need two names."""
    style: Literal["boxed", "think", "xml_exact", "xml_soft"] = "boxed"
    """`boxed`: 1 where there is a `\\boxed{…}`. `think`: 1 where it begins with one thought up to
    `</think>` and goes on after it; the prompt may have the `<think>`. `xml_exact`: 1 where it is
    the `tags`, each once, in order and filled, and nothing else but space. `xml_soft`: the share of
    the opening and closing `tags` that occur exactly once, so that each one pays."""
    tags: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][\w.-]*$")], ...] = Field(
        default=("think", "answer"), min_length=1
    )
    """Of the two XML styles, without their brackets."""


class LanguageReward(RewardBase):
    """The share of the completion's letters that are in the wanted language.

    1 where the text is too short to judge: mathematics has few words, and a completion without a
    value would lose its other rewards as well.
    """

    kind: Literal["language"] = "language"
    name: Name = "language"
    """Its column in the table of rewards; two rewards of one kind need two names."""
    language: LanguageSetting = OWN_LANGUAGE
    """An ISO 639-1 code; or "problem": the language that the problem itself is in. Where a problem
    is too short to tell, a completion need only keep to its own language."""


class ArithmeticReward(RewardBase):
    """The share of the written equations that hold; 1 where none can be checked.

    Beside it there should be a reward for being correct: saying nothing gets the 1 too.
    """

    kind: Literal["arithmetic"] = "arithmetic"
    name: Name = "arithmetic"
    """Its column in the table of rewards; two rewards of one kind need two names."""


class LengthReward(RewardBase):
    """0 up to `free_tokens`, then falling evenly to -1 at `max_tokens` and staying there.

    The soft punishment of overlong completions of DAPO (https://arxiv.org/abs/2503.14476, eq. 13).
    """

    kind: Literal["length"] = "length"
    name: Name = "length"
    """Its column in the table of rewards; two rewards of one kind need two names."""
    free_tokens: int = Field(ge=0)
    """Tokens up to which length costs nothing."""
    max_tokens: int = Field(ge=1)
    """Tokens from which on the reward is -1."""

    @model_validator(mode="after")
    def _falls(self) -> LengthReward:
        if self.max_tokens <= self.free_tokens:
            raise ValueError(
                f"max_tokens={self.max_tokens} is not above free_tokens={self.free_tokens}, so "
                "there is no length between them to fall over"
            )
        return self


class CustomReward(RewardBase):
    """The user's own function: it takes a list of `trainers.rewards.Sampled` and returns as many
    numbers, or None for a completion that it can say nothing about.

    It is called in a process of its own, which is killed where it hangs and started again.
    """

    kind: Literal["custom"] = "custom"
    name: Name
    """Its column in the table of rewards; two rewards of one kind need two names."""
    path: dotted_path.DottedPath
    """`my_package.my_module:my_reward`, found from the folder that Ratchet is started in."""
    found_in: Annotated[str | None, NotIdentity()] = dotted_path.found_in_field()
    """The folder that it was found in, for a resume from elsewhere; left out, the current one."""
    settings: dict[str, Any] = {}
    """Passed to the function by name."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds for one batch, after which the reward has failed for all of it."""

    @property
    def called(self) -> str:
        """What errors call it."""
        return f"reward {self.name!r}"


RewardConfig = Annotated[
    CorrectReward
    | PartialReward
    | FormatReward
    | LanguageReward
    | ArithmeticReward
    | LengthReward
    | CustomReward,
    Field(discriminator="kind"),
]


def source_digest(reward: CustomReward) -> str:
    """A digest of the module that holds the function, so that another code is another reward.

    Raises:
        InputError: if there is no such module.
    """
    return dotted_path.digest(reward.path, reward.called, reward.found_in)
