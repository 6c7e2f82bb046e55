"""Where problems come from: one config class for each kind of source."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ratchet.config import Config, NotIdentity
from ratchet.verifier.find.extraction import AnswerFormat
from ratchet.verifier.rules import AnswerRules

SolutionStyle = Literal["boxed", "raw"]
MathSubject = Literal[
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
]
Level = Annotated[int, Field(ge=1)]
Extent = Annotated[int, Field(ge=1)]
Offset = Annotated[int, Field(ge=0)]


class _SourceConfig(Config):
    answer_format: AnswerFormat = "auto"
    """Where completions on these problems state their answer."""
    policy: AnswerRules = AnswerRules()
    """What counts as the same answer (docs/verifier.md)."""


class _RowsConfig(_SourceConfig):
    """A source that reads rows: all of them, or some. Shuffled first, then cut."""

    limit: Extent | None = None
    """At most this many problems."""
    offset: Offset = 0
    """Problems left out at the start."""
    shuffle_seed: int | None = None
    """Seed of the order; None keeps the rows' own."""


class _LevelledConfig(_RowsConfig):
    levels: tuple[Level, ...] | None = None
    """Only problems of these levels."""


class Columns(Config):
    """The names of a set's columns. Only the problem's own is needed, and one with the answer."""

    problem: str = "problem"
    reference_answer: str | None = "reference_answer"
    """None where the answer is to be found in the solution."""
    problem_id: str | None = None
    solution: str | None = None
    level: str | None = None
    subject: str | None = None

    @model_validator(mode="after")
    def _answer_is_somewhere(self) -> Self:
        if self.reference_answer is None and self.solution is None:
            raise ValueError("neither reference_answer nor solution names a column; give one")
        return self


class Gsm8kSource(_RowsConfig):
    """GSM8K: grade-school word problems (https://arxiv.org/abs/2110.14168)."""

    kind: Literal["gsm8k"] = "gsm8k"
    path: Annotated[str | None, NotIdentity()] = None
    """A JSONL or Parquet file with `question` and `answer`; None loads openai/gsm8k."""
    split: Literal["train", "test"] = "train"
    revision: str | None = None
    """Git revision on the hub."""
    solution_style: SolutionStyle = "boxed"
    """`boxed` drops the `<<48/2=24>>` marks and ends on `\\boxed{24}`; `raw` changes nothing."""


class MathSource(_LevelledConfig):
    """MATH: competition problems of seven subjects (https://arxiv.org/abs/2103.03874)."""

    kind: Literal["math"] = "math"
    path: Annotated[str | None, NotIdentity()] = None
    """A file with `problem` and `solution`, or the original folder of one JSON for each problem;
    None loads EleutherAI/hendrycks_math."""
    split: Literal["train", "test"] = "train"
    revision: str | None = None
    """Git revision on the hub."""
    subjects: tuple[MathSubject, ...] | None = None
    """Only these subjects."""


class Math500Source(_LevelledConfig):
    """MATH-500: 500 of MATH's test problems (https://arxiv.org/abs/2305.20050)."""

    kind: Literal["math500"] = "math500"
    path: Annotated[str | None, NotIdentity()] = None
    """A file with `problem`, `answer` and `unique_id`; None loads HuggingFaceH4/MATH-500."""
    split: Literal["test"] = "test"
    revision: str | None = None
    """Git revision on the hub."""
    subjects: tuple[MathSubject, ...] | None = None
    """Only these subjects."""


class FileSource(_LevelledConfig):
    """Any JSONL, JSON, Parquet or CSV file, or a folder of files of one of these kinds."""

    kind: Literal["file"] = "file"
    path: Annotated[str, NotIdentity()]
    name: str | None = None
    """The source's name in rows and problem ids; None takes the file's."""
    split: str = ""
    """Written to the rows; picks nothing."""
    columns: Columns = Columns()
    subjects: tuple[str, ...] | None = None
    """Only these subjects."""


class HubSource(_LevelledConfig):
    """Any set that `datasets.load_dataset` loads."""

    kind: Literal["hub"] = "hub"
    path: str
    """The set's id, e.g. `openai/gsm8k`."""
    name: str | None = None
    """The set's configuration, e.g. `main`."""
    split: str = "train"
    revision: str | None = None
    columns: Columns = Columns()
    subjects: tuple[str, ...] | None = None
    """Only these subjects."""


class ArithmeticSource(_SourceConfig):
    """Word problems made on the spot; their splits cannot overlap."""

    kind: Literal["arithmetic"] = "arithmetic"
    split: Literal["train", "dev", "test", "seed"] = "train"
    size: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    """Number of problems."""
    levels: tuple[Level, ...] = (1, 2, 3, 4)
    """Numbers of steps."""
    seed: int = 0


ProblemSource = Annotated[
    Gsm8kSource | MathSource | Math500Source | FileSource | HubSource | ArithmeticSource,
    Field(discriminator="kind"),
]
