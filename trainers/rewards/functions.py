"""The rewards that Ratchet brings: short functions on the scorers that filters use as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

from ratchet.problems.grading import GradingRules
from ratchet.records import GrpoRow, Problem
from ratchet.texts.completion_shape import Shape, shape_fault, tag_share
from ratchet.texts.equations.check import checkable, held_share
from ratchet.texts.language.judge import LanguageJudge, WantedLanguages
from ratchet.verifier.compare.normal import normalise
from ratchet.verifier.compare.numbers import exact_number
from ratchet.verifier.grader import Grade, Grader
from trainers.config.rewards import (
    ArithmeticReward,
    CorrectReward,
    CustomReward,
    FormatReward,
    LanguageReward,
    LengthReward,
    PartialReward,
    RewardConfig,
)
from trainers.rewards.base import Reward, Sampled
from trainers.rewards.process import RewardProcess

NEUTRAL = 1.0
"""Where a text gives nothing to judge. No missing value, which would cost a completion its other
rewards too, and no 0, which would teach to write what can be judged."""


def build(reward: RewardConfig, rules: GradingRules, grader: Grader) -> Reward:
    """The function of a reward's settings.

    Raises:
        InputError: if a custom reward's function can't be found.
    """
    match reward:
        case CorrectReward():
            return lambda batch: [_correct(grade) for grade in _grades(batch, rules, grader)]
        case PartialReward():
            return lambda batch: [
                partial_credit(grade, sampled.row.reference_answer)
                for grade, sampled in zip(_grades(batch, rules, grader), batch, strict=True)
            ]
        case FormatReward():
            form = _form(reward)
            return lambda batch: [form(sampled.completion) for sampled in batch]
        case LanguageReward():
            return LanguageShare(reward.language)
        case ArithmeticReward():
            return lambda batch: [_held_share(sampled.completion) for sampled in batch]
        case LengthReward():
            return lambda batch: [length_penalty(reward, s.num_tokens) for s in batch]
        case CustomReward():
            return RewardProcess(reward)
        case _:
            assert_never(reward)


def _grades(batch: Sequence[Sampled], rules: GradingRules, grader: Grader) -> list[Grade]:
    """The grader's verdicts; it remembers them, so that a second reward asks for nothing."""
    return [
        rules.grade(grader, _problem(sampled.row), sampled.completion, sampled.finish_reason)
        for sampled in batch
    ]


def _problem(row: GrpoRow) -> Problem:
    return Problem(
        problem_id=row.problem_id, problem=row.problem, reference_answer=row.reference_answer
    )


def _correct(grade: Grade) -> float | None:
    return None if grade.correct is None else float(grade.correct)


def partial_credit(grade: Grade, reference_answer: str) -> float | None:
    """1 if correct, else the ratio of the numbers, at most 1; see `PartialReward`."""
    if grade.correct is None:
        return None
    if grade.correct or grade.answer is None:
        return float(grade.correct)
    seen, wanted = exact_number(normalise(grade.answer)), exact_number(normalise(reference_answer))
    if seen is None or wanted is None or seen * wanted <= 0:
        return 0.0
    return float(min(abs(seen), abs(wanted)) / max(abs(seen), abs(wanted)))


def _form(reward: FormatReward) -> Callable[[str], float]:
    """What is asked of a completion's text; between 0 and 1."""
    if reward.style == "xml_soft":
        return lambda text: tag_share(text, reward.tags)
    shapes = {
        "boxed": Shape(boxed="at_least_one"),
        "think": Shape(think=True),
        "xml_exact": Shape(tags=reward.tags),
    }
    shape = shapes[reward.style]
    return lambda text: float(shape_fault(text, shape) is None)


class LanguageShare:
    """See `LanguageReward`; the judge's models are loaded on first need."""

    def __init__(self, language: str) -> None:
        self._judge = LanguageJudge()
        self._wanted = WantedLanguages(language, self._judge)

    def __call__(self, batch: Sequence[Sampled]) -> list[float]:
        return [self._share(sampled) for sampled in batch]

    def _share(self, sampled: Sampled) -> float:
        share = self._judge.read(sampled.completion, self._wanted.of(sampled.row)).share
        return NEUTRAL if share is None else share


def _held_share(text: str) -> float:
    share = held_share(checkable(text))
    return NEUTRAL if share is None else share


def length_penalty(reward: LengthReward, num_tokens: int) -> float:
    """Between -1 and 0; see `LengthReward`."""
    over = num_tokens - reward.free_tokens
    return -min(1.0, max(0.0, over / (reward.max_tokens - reward.free_tokens)))
