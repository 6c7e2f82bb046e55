"""What a checkpoint is evaluated on: a well-known set, any file, or a config's set by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from evals.protocols import Protocol, ResolvedProtocol, resolve
from flows.preflight import problem_sets
from flows.standalone.settings import ConfigOrigin
from flows.starters.data import find_columns
from ratchet.config import Config
from ratchet.errors import InputError
from ratchet.problems.config import (
    Columns,
    FileSource,
    Gsm8kSource,
    Math500Source,
    MathSource,
    ProblemSource,
)
from ratchet.problems.grading import GradingRules
from ratchet.problems.readers import RawRow, read_rows
from ratchet.problems.sets import ProblemSet, load_set
from ratchet.records import Problem
from ratchet.store.artifacts import Store
from ratchet.store.identity import digest
from ratchet.verifier.find.extraction import AnswerFormat

KNOWN: Mapping[str, Gsm8kSource | MathSource | Math500Source] = {
    "gsm8k": Gsm8kSource(split="test"),
    "math": MathSource(split="test"),
    "math500": Math500Source(),
}
SourceT = TypeVar("SourceT", bound=Config)
_EXTRA_COLUMNS = ("level", "subject", "problem_id")


@dataclass(frozen=True)
class BenchmarkOptions:
    """How the user's files are read, and how much of a benchmark is asked."""

    data: Path | None = None
    shots: Path | None = None
    problem_column: str | None = None
    answer_column: str | None = None
    answer_format: AnswerFormat | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Benchmark:
    """Problems under the name that a run has for them too, and the rules that they are graded by.

    `protocol` is None where a config says how to ask. `is_test`: it is that config's test set.
    """

    name: str
    problems: tuple[Problem, ...]
    fingerprint: str
    rules: GradingRules
    protocol: ResolvedProtocol | None = None
    is_test: bool = False


class BenchmarkLoader:
    """Finds and loads benchmarks by name; a config's sets are loaded once."""

    def __init__(
        self,
        store: Store,
        origin: ConfigOrigin | None,
        protocol: Protocol | None,
        options: BenchmarkOptions,
    ) -> None:
        self._store = store
        self._origin = origin
        self._protocol = protocol
        self._options = options
        self._own: dict[str, ProblemSet] = {}

    def load(self, name: str) -> Benchmark:
        """The benchmark with its worked examples, cut to the limit.

        Raises:
            InputError: if there is no such benchmark, or its file can't be read.
        """
        own = self._of_config(name)
        cut = _cut(own or load_set(self._store, *self._source(name)), self._options.limit)
        asked = self._asked_with(cut)
        answer_format = self._options.answer_format or (asked.answer_format if asked else None)
        rules = replace(cut.rules, answer_format=answer_format) if answer_format else cut.rules
        is_test = own is not None and name == "test"
        return replace(cut, rules=rules, protocol=asked, is_test=is_test)

    def _of_config(self, name: str) -> ProblemSet | None:
        """A config's set as a run has it, without what its sets share."""
        if self._origin is None or name not in self._origin.config.sources():
            return None
        self._own = self._own or problem_sets(self._origin.config, self._store)
        return self._own[name]

    def _source(self, text: str) -> tuple[str, ProblemSource]:
        """(name, source) of `gsm8k`, `gsm8k=FILE`, `NAME=FILE` or `FILE`."""
        if Path(text).exists():
            return Path(text).stem, self._file(text)
        name, given, file = text.partition("=")
        if name in KNOWN:
            path = file if given else self._options.data
            changes = {"path": str(path)} if path else {}
            return name, self._formatted(KNOWN[name], **changes)
        if given and Path(file).exists():
            return name, self._file(file)
        raise InputError(f"--benchmark {text!r} is no file, and names no set: {self._known()}")

    def _known(self) -> str:
        own = list(self._origin.config.sources()) if self._origin else []
        sets = f"; {self._origin.name} has {', '.join(own)}" if self._origin else ""
        more = "" if self._origin else "; with --config CONFIG also that config's sets"
        return f"there are {', '.join(KNOWN)} (from the hub, or gsm8k=FILE), any FILE{sets}{more}"

    def _file(self, path: str) -> FileSource:
        options = self._options
        columns = _columns(path, options.problem_column, options.answer_column)
        return self._formatted(FileSource(path=path, columns=columns))

    def _formatted(self, source: SourceT, **changes: Any) -> SourceT:
        if self._options.answer_format:
            changes["answer_format"] = self._options.answer_format
        return source.model_copy(update=changes)

    def _asked_with(self, benchmark: Benchmark) -> ResolvedProtocol | None:
        if self._protocol is None:
            return None
        return resolve(self._protocol, self._examples(), benchmark.problems)

    def _examples(self) -> Sequence[Problem]:
        """The train split that worked examples are drawn from."""
        shots = self._protocol.shots if self._protocol else None
        if shots is None:
            return ()
        path = str(self._options.shots) if self._options.shots else None
        source = shots.source.model_copy(update={"path": path})
        return load_set(self._store, "shots", source).problems


def _cut(found: ProblemSet, limit: int | None) -> Benchmark:
    benchmark = Benchmark(found.name, found.problems, found.fingerprint, found.rules)
    if limit is None or limit >= len(found.problems):
        return benchmark
    fingerprint = digest({"of": found.fingerprint, "limit": limit})
    return replace(benchmark, problems=found.problems[:limit], fingerprint=fingerprint)


def _columns(path: str, problem: str | None, answer: str | None) -> Columns:
    """The named columns, or likely ones; level and subject where the file has them."""
    rows = read_rows(Path(path))
    options = ("--problem-column", "--answer-column")
    columns = find_columns(rows, path, problem, answer, options)
    return columns.model_copy(update={name: name for name in _EXTRA_COLUMNS if _has(rows, name)})


def _has(rows: Sequence[RawRow], name: str) -> bool:
    values = [row.get(name) for row in rows]
    if name != "problem_id":
        return any(value is not None for value in values)
    return None not in values and len(set(map(str, values))) == len(values)
