"""What CONTRIBUTING.md asks for, done: each toy's new files, and its insertions into others.

An insertion goes before text that stands in its file exactly once. Where one no longer applies, the
page is out of date as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TOYS = Path(__file__).parent


@dataclass(frozen=True)
class Insertion:
    """`text` put before the only place of `before` in `file`."""

    file: str
    before: str
    text: str

    def apply(self, tree: Path) -> None:
        path = tree / self.file
        code = path.read_text(encoding="utf-8")
        assert code.count(self.before) == 1, f"{self.file}: {self.before!r} is not there once"
        path.write_text(code.replace(self.before, self.text + self.before), encoding="utf-8")


@dataclass(frozen=True)
class Toy:
    """One kind of part: the page's section, what it adds and changes, and its test."""

    section: str
    new_files: Mapping[str, str]
    """Path in the tree -> file beside this one."""
    insertions: tuple[Insertion, ...]
    test: tuple[str, str]

    def files(self) -> set[str]:
        """All that the page must name."""
        return {*self.new_files, *(each.file for each in self.insertions), self.test[0]}

    def build(self, tree: Path) -> None:
        """Follow the page in a copy of the tree."""
        for path, source in [*self.new_files.items(), self.test]:
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text((TOYS / source).read_text())
        for insertion in self.insertions:
            insertion.apply(tree)


FILTER = Toy(
    section="A filter",
    new_files={"filters/kinds/shouting.py": "shouting.py"},
    insertions=(
        Insertion(
            "filters/config.py",
            "from ratchet.config_errors import",
            "from filters.kinds.shouting import ShoutingConfig\n",
        ),
        Insertion("filters/config.py", "    | CustomConfig,", "    | ShoutingConfig\n"),
        Insertion(
            "filters/build.py",
            "from filters.similarity.embeddings import",
            "from filters.kinds.shouting import Shouting, ShoutingConfig\n",
        ),
        Insertion(
            "filters/build.py",
            "        case CustomConfig():",
            "        case ShoutingConfig():\n            return Shouting(config, context)\n",
        ),
        Insertion(
            "flows/reports/reason_words.py",
            "    # any\n",
            '    "calm": "it does not shout",\n    "shouting": "it shouts",\n',
        ),
    ),
    test=("tests/filters/kinds/test_shouting.py", "check_shouting.py"),
)

ENGINE = Toy(
    section="An engine",
    new_files={"samplers/engines/echo.py": "echo.py"},
    insertions=(
        Insertion(
            "samplers/config.py",
            "EngineConfig: TypeAlias = Annotated[",
            '''class EchoEngineConfig(EngineBase):
    """Says the problem again."""

    kind: Literal["echo"] = "echo"
    suffix: str = ""
    """Put behind it."""

    @property
    def in_flight(self) -> int:
        """Completions to hold at the engine."""
        return 64


''',
        ),
        Insertion("samplers/config.py", "VllmEngineConfig | Trans", "EchoEngineConfig | "),
        Insertion(
            "samplers/serving/server.py",
            "    OpenAIEngineConfig,\n",
            "    EchoEngineConfig,\n",
        ),
        Insertion(
            "samplers/serving/server.py",
            "        case ReplayEngineConfig():",
            "        case EchoEngineConfig():\n"
            "            from samplers.engines.echo import EchoEngine\n\n"
            "            return EchoEngine(config)\n",
        ),
        Insertion(
            "flows/engine_check.py",
            "    EngineConfig,\n",
            "    EchoEngineConfig,\n",
        ),
        Insertion(
            "flows/engine_check.py",
            "        case ReplayEngineConfig():",
            "        case EchoEngineConfig():\n            pass\n",
        ),
    ),
    test=("tests/samplers/engines/test_echo.py", "check_echo.py"),
)

SOURCE = Toy(
    section="A problem source",
    new_files={},
    insertions=(
        Insertion(
            "ratchet/problems/config.py",
            "ProblemSource = Annotated[",
            '''class SvampSource(_LevelledConfig):
    """SVAMP: word problems in two parts."""

    kind: Literal["svamp"] = "svamp"
    path: Annotated[str, NotIdentity()]
    """A JSON file with `ID`, `Body`, `Question` and `Answer`."""
    split: str = ""
    """Written to the rows; picks nothing."""
    subjects: tuple[str, ...] | None = None
    """Only these subjects."""


''',
        ),
        Insertion("ratchet/problems/config.py", "Gsm8kSource | MathSource", "SvampSource | "),
        Insertion(
            "ratchet/problems/layouts.py",
            "def mapped_layout(",
            '''def svamp_layout(row: RawRow, origin: Origin, number: int) -> Problem | Unusable:
    """SVAMP: the story, and what is asked of it."""
    text = f"{row['Body'].rstrip('.')}. {row['Question']}"
    return to_problem(Fields(text, row["Answer"], problem_id=row["ID"]), origin, number)


''',
        ),
        Insertion("ratchet/problems/load.py", "    subject_key,\n)", "    svamp_layout,\n"),
        Insertion("ratchet/problems/load.py", "    ProblemSource,\n)", "    SvampSource,\n"),
        Insertion(
            "ratchet/problems/load.py",
            "Gsm8kSource | MathSource | Math500Source | FileSource | HubSource\n",
            "SvampSource | ",
        ),
        Insertion(
            "ratchet/problems/load.py",
            "        case HubSource():",
            "        case SvampSource():\n            loaded = _load_svamp(config)\n",
        ),
        Insertion(
            "ratchet/problems/load.py",
            "def _load_hub(",
            """def _load_svamp(config: SvampSource) -> LoadedProblems:
    rows, needed = read_rows(Path(config.path)), ("Body", "Question", "Answer", "ID")
    return _converted(rows, Origin("svamp", config.split), svamp_layout, needed)


""",
        ),
    ),
    test=("tests/ratchet/problems/test_svamp.py", "check_svamp.py"),
)

TRAINER = Toy(
    section="A kind of trainer",
    new_files={
        "trainers/config/tail.py": "tail_config.py",
        "trainers/tail/__init__.py": "tail_room.py",
        "trainers/tail/training.py": "tail_training.py",
    },
    insertions=(
        Insertion(
            "trainers/config/__init__.py",
            "__all__ = [",
            "from trainers.config.tail import TailConfig\n\n",
        ),
        Insertion("trainers/config/__init__.py", '    "TrainerBase",\n', '    "TailConfig",\n'),
        Insertion("trainers/config/__init__.py", "SftConfig | DpoConfig", "TailConfig | "),
        Insertion("trainers/stage.py", '"sft": 1, "dpo"', '"tail": 1, '),
        Insertion("trainers/worker_main.py", "SftConfig, parse_trainer", "TailConfig, "),
        Insertion(
            "trainers/worker_main.py",
            "        case SftConfig():",
            "        case TailConfig():\n"
            "            from trainers.tail.training import train as train_tail\n\n"
            "            train_tail(config, job, reports)\n",
        ),
    ),
    test=("tests/trainers/tail/test_training.py", "check_tail.py"),
)

ALL = (FILTER, ENGINE, SOURCE, TRAINER)
