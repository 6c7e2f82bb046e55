"""From a filter's config to the filter. One `case` for each kind."""

from __future__ import annotations

from typing import Any, assert_never

from filters.base import Filter, FilterContext
from filters.config import FilterConfig
from filters.kinds.arithmetic import Arithmetic, ArithmeticConfig
from filters.kinds.custom import CustomConfig, load_custom, source_digest
from filters.kinds.decontamination import Decontamination, DecontaminationConfig
from filters.kinds.difficulty import Difficulty, DifficultyConfig
from filters.kinds.diversity import DiversityConfig, build_diversity
from filters.kinds.format import Format, FormatConfig
from filters.kinds.language import Language, LanguageConfig
from filters.kinds.length import Length, LengthConfig
from filters.kinds.orm import OrmConfig
from filters.kinds.repetition import Repetition, RepetitionConfig
from filters.similarity.embeddings import embedding_digest
from ratchet.config import identity_settings
from ratchet.texts.completion_shape import BOXES_VERSION
from ratchet.texts.contamination import MEASURE_VERSION


def build_filter(config: FilterConfig, context: FilterContext) -> Filter | None:  # noqa: C901
    """The filter; None for the outcome filter, whose grader lives with the stage.

    Raises:
        InputError: if it can't be built.
    """
    match config:
        case OrmConfig():
            return None
        case FormatConfig():
            return Format(config, context)
        case LengthConfig():
            return Length(config, context)
        case RepetitionConfig():
            return Repetition(config, context)
        case LanguageConfig():
            return Language(config, context)
        case ArithmeticConfig():
            return Arithmetic(config, context)
        case DiversityConfig():
            return build_diversity(config, context)
        case DecontaminationConfig():
            return Decontamination(config, context)
        case DifficultyConfig():
            return Difficulty(config, context)
        case CustomConfig():
            return load_custom(config, context)
        case _:
            assert_never(config)


def settings_of(config: FilterConfig) -> dict[str, Any]:
    """What of a filter can change a verdict: its settings, and the code and models it rests on."""
    settings = identity_settings(config)
    if isinstance(config, CustomConfig):
        settings["source"] = source_digest(config)
    if isinstance(config, DiversityConfig) and config.model:
        settings["model"] = embedding_digest(config.model)
    if isinstance(config, DecontaminationConfig):
        settings["measure"] = MEASURE_VERSION
    if isinstance(config, FormatConfig) and config.boxed != "any":
        settings["boxes"] = BOXES_VERSION
    return settings
