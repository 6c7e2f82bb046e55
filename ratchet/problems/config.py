"""Where problems come from: one config class for each kind of source."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

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
    """Seed of the order; left out, the rows keep their own."""


class _LevelledConfig(_RowsConfig):
    levels: tuple[Level, ...] | None = None
    """Only problems of these levels."""


def _none_if_empty(name: Any) -> Any:
    """TOML has no word for None, which stands where a set has no column of answers."""
    return None if name == "" else name


class Columns(Config):
    """The names of a set's columns. Only the problem's own is needed, and one with the answer."""

    problem: str = "problem"
    """The column with the problem's text."""
    reference_answer: Annotated[str | None, BeforeValidator(_none_if_empty)] = "reference_answer"
    """The column with the answer; empty (`""`) where it is to be found in the solution."""
    problem_id: str | None = None
    """The column with an id; left out, rows are numbered."""
    solution: str | None = None
    """The column with a worked solution, if there is one."""
    level: str | None = None
    """The column with a difficulty: a number, or a text that holds one."""
    subject: str | None = None
    """The column with a subject."""

    @model_validator(mode="after")
    def _answer_is_somewhere(self) -> Self:
        if self.reference_answer is None and self.solution is None:
            raise ValueError("neither reference_answer nor solution names a column; give one")
        return self


class Gsm8kSource(_RowsConfig):
    """GSM8K: grade-school word problems (https://arxiv.org/abs/2110.14168)."""

    kind: Literal["gsm8k"] = "gsm8k"
    path: Annotated[str | None, NotIdentity()] = None
    """A JSONL or Parquet file with `question` and `answer`; left out, openai/gsm8k is loaded."""
    split: Literal["train", "test"] = "train"
    """GSM8K's own split; dev can be cut out of train by `offset` and `limit`."""
    revision: str | None = None
    """Git revision on the hub."""
    solution_style: SolutionStyle = "boxed"
    """`boxed` drops the `<<48/2=24>>` marks and ends on `\\boxed{24}`; `raw` changes nothing."""


class MathSource(_LevelledConfig):
    """MATH: competition problems of seven subjects (https://arxiv.org/abs/2103.03874)."""

    kind: Literal["math"] = "math"
    path: Annotated[str | None, NotIdentity()] = None
    """A file with `problem` and `solution`, or the original folder of one JSON for each problem;
    left out, EleutherAI/hendrycks_math is loaded."""
    split: Literal["train", "test"] = "train"
    """MATH's own split; dev can be cut out of train by `offset` and `limit`."""
    revision: str | None = None
    """Git revision on the hub."""
    subjects: tuple[MathSubject, ...] | None = None
    """Only these subjects."""


class Math500Source(_LevelledConfig):
    """MATH-500: 500 of MATH's test problems (https://arxiv.org/abs/2305.20050)."""

    kind: Literal["math500"] = "math500"
    path: Annotated[str | None, NotIdentity()] = None
    """A file with `problem`, `answer` and `unique_id`; left out,
    HuggingFaceH4/MATH-500 is loaded."""
    split: Literal["test"] = "test"
    """There is no other."""
    revision: str | None = None
    """Git revision on the hub."""
    subjects: tuple[MathSubject, ...] | None = None
    """Only these subjects."""


class FileSource(_LevelledConfig):
    """Any JSONL, JSON, Parquet or CSV file, or a folder of files of one of these kinds."""

    kind: Literal["file"] = "file"
    path: Annotated[str, NotIdentity()]
    """The file or folder; its content counts, not where it lies."""
    name: str | None = None
    """The source's name in rows and problem ids; left out, the file's."""
    split: str = ""
    """Written to the rows; picks nothing."""
    columns: Columns = Columns()
    """Which columns hold what."""
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
    """The split on the hub."""
    revision: str | None = None
    """Git revision on the hub; pin one, or a later push changes what the run means."""
    columns: Columns = Columns()
    """Which columns hold what."""
    subjects: tuple[str, ...] | None = None
    """Only these subjects."""


class ArithmeticSource(_SourceConfig):
    """Word problems made on the spot; their splits cannot overlap."""

    kind: Literal["arithmetic"] = "arithmetic"
    split: Literal["train", "dev", "test", "seed"] = "train"
    """Problems of one split never occur in another; `seed` is what the demo's model was made
    from."""
    size: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    """Number of problems."""
    levels: tuple[Level, ...] = (1, 2, 3, 4)
    """Numbers of steps."""
    seed: int = 0
    """Another seed gives other problems."""


ProblemSource = Annotated[
    Gsm8kSource | MathSource | Math500Source | FileSource | HubSource | ArithmeticSource,
    Field(discriminator="kind"),
]
