"""What a person should look at after grading: counts, time-outs, disagreements, doubtful labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.verifier.compare.forms import form_of
from ratchet.verifier.grader import Grade
from ratchet.verifier.grades import FAILURES

MIN_VOTES = 3
"""Completions that must agree with each other before they cast doubt on a reference."""
MIN_SHARE = 0.5
"""Their least share among the problem's completions that gave an answer."""
MAX_ROWS = 10_000
"""Rows kept of each kind of case; the counts go on."""
_MAX_ANSWERS = 20
_SHOWN = 200

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Case:
    """One graded completion that deserves a look."""

    problem: str
    reference_answer: str
    answer: str | None
    reason: str
    tier: str | None


@dataclass(slots=True)
class _Votes:
    reference_answer: str
    total: int = 0
    correct: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


class Audit:
    """Collects grades; memory grows with the problems, not with the completions."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str | None, str | None]] = Counter()
        self.failures: list[Case] = []
        self.disagreements: list[Case] = []
        self._votes: dict[str, _Votes] = {}

    def add(self, problem: str, reference_answer: str, grade: Grade) -> None:
        """Count one grade. `problem` is the problem's text or id."""
        self.counts[(grade.reason, grade.rule, grade.tier)] += 1
        case = Case(
            problem[:_SHOWN],
            reference_answer[:_SHOWN],
            (grade.answer or "")[:_SHOWN],
            grade.reason,
            grade.tier,
        )
        if grade.reason in FAILURES and len(self.failures) < MAX_ROWS:
            self.failures.append(case)
        if grade.disagreed and len(self.disagreements) < MAX_ROWS:
            self.disagreements.append(case)
        if grade.answer is not None:
            self._vote(problem[:_SHOWN], reference_answer[:_SHOWN], grade)

    def _vote(self, problem: str, reference_answer: str, grade: Grade) -> None:
        votes = self._votes.setdefault(problem, _Votes(reference_answer))
        votes.total += 1
        votes.correct += grade.correct is True
        key = form_of(grade.answer or "").text[:_SHOWN]
        if grade.correct is False and (key in votes.wrong or len(votes.wrong) < _MAX_ANSWERS):
            votes.wrong[key] += 1

    @property
    def completions(self) -> int:
        """How many grades were added."""
        return self.counts.total()

    def suspicious(self) -> Iterator[dict[str, Cell]]:
        """Problems whose completions agree with each other against the reference."""
        for problem, votes in self._votes.items():
            if not votes.wrong:
                continue
            answer, count = votes.wrong.most_common(1)[0]
            if count >= MIN_VOTES and count >= MIN_SHARE * votes.total and count > votes.correct:
                yield {
                    "problem": problem,
                    "reference_answer": votes.reference_answer,
                    "answer": answer,
                    "votes": count,
                    "completions": votes.total,
                    "correct": votes.correct,
                }

    def by(self, what: str) -> dict[str, int]:
        """Counts by `reason`, `rule` or `tier`."""
        at = ("reason", "rule", "tier").index(what)
        found: Counter[str] = Counter()
        for key, count in self.counts.items():
            found[key[at] or "none"] += count
        return dict(found.most_common())

    def write(self, folder: Path) -> None:
        """`counts`, `failures`, `disagreements` and `suspicious`, each a Parquet file."""
        folder.mkdir(parents=True, exist_ok=True)
        counts = [
            {"reason": reason, "rule": rule, "tier": tier, "completions": count}
            for (reason, rule, tier), count in self.counts.most_common()
        ]
        _write(folder / "counts.parquet", counts, ("reason", "rule", "tier"), ("completions",))
        for name, cases in (("failures", self.failures), ("disagreements", self.disagreements)):
            rows = [{slot: getattr(case, slot) for slot in Case.__slots__} for case in cases]
            _write(folder / f"{name}.parquet", rows, Case.__slots__)
        _write(
            folder / "suspicious.parquet",
            self.suspicious(),
            ("problem", "reference_answer", "answer"),
            ("votes", "completions", "correct"),
        )


def _write(
    path: Path,
    rows: Iterable[Mapping[str, Cell]],
    texts: Iterable[str],
    numbers: Iterable[str] = (),
) -> None:
    columns = [(name, pa.string()) for name in texts] + [(name, pa.int64()) for name in numbers]
    clean = [{name: _plain(value) for name, value in row.items()} for row in rows]
    pq.write_table(pa.Table.from_pylist(clean, schema=pa.schema(columns)), path)


def _plain(value: Cell) -> Cell:
    """Text that Arrow can hold: lone surrogates become question marks."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
