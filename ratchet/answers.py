"""The one grader: what decides that a completion's final answer equals the reference.

Filters, evaluation and the GRPO reward all ask here. The answer is found by
`ratchet.answer_extraction`, compared as text and as an exact number by `ratchet.answer_forms`, and
only then, in a process that can be killed, symbolically by Math-Verify. Nothing that a model wrote
is ever evaluated as Python.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from ratchet.answer_extraction import AnswerFormat, Extracted, extract_answer
from ratchet.answer_forms import MAX_LENGTH, compare_plain, forms_of, refusal
from ratchet.answer_pool import WorkerLimits, WorkerPool

GRADER_VERSION = 1
"""Counts up whenever a verdict may change, so that what was graded before is graded again."""

__all__ = [
    "GRADER_VERSION",
    "AnswerFormat",
    "Extracted",
    "Grade",
    "Grader",
    "GradingTask",
    "WorkerLimits",
    "extract_answer",
]

Reason = Literal[
    "equal_string",
    "equal_number",
    "equal_symbolic",
    "different",
    "no_answer",
    "truncated",
    "timeout",
    "grader_error",
]

Pair = tuple[str, str]
Run = Callable[[Callable[[], None]], object]

_CORRECT: dict[Reason, bool | None] = {
    "equal_string": True,
    "equal_number": True,
    "equal_symbolic": True,
    "different": False,
    "no_answer": False,
    "truncated": False,
    "timeout": None,
    "grader_error": None,
}
_SYMBOLIC: dict[str, Reason] = {
    "equal": "equal_symbolic",
    "different": "different",
    "timeout": "timeout",
    "error": "grader_error",
}


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one completion. `correct` is None where the grader could not say."""

    answer: str | None
    correct: bool | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class GradingTask:
    """One completion to grade against its problem's reference answer."""

    completion: str
    reference_answer: str
    finish_reason: str = "stop"
    answer_format: AnswerFormat = "auto"


class Grader:
    """Grades completions, from any thread of any process.

    Holds up to `workers` processes for symbolic comparison, started when the first is needed, and
    the verdicts on the `memo_size` last distinct pairs of reference and answer. A context manager;
    one that was closed starts its workers again when it is used. Sent to another process it
    travels as its settings.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        limits: WorkerLimits | None = None,
        memo_size: int = 100_000,
    ) -> None:
        """`workers` defaults to the number of cores, at most 8.

        Raises:
            ValueError: if `workers` is below 1.
        """
        if workers is not None and workers < 1:
            raise ValueError(f"workers={workers} leaves nobody to compare; give at least 1")
        self._workers = workers or min(8, os.cpu_count() or 1)
        self._limits = limits or WorkerLimits()
        self._memo_size = memo_size
        self._pool: WorkerPool
        self._reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, object]:
        return {
            "_workers": self._workers,
            "_limits": self._limits,
            "_memo_size": self._memo_size,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._reset()

    def close(self) -> None:
        """End the workers. The grader may be used again."""
        pool, self._pool = self._pool, WorkerPool(self._workers, self._limits)
        pool.close()

    def grade(
        self,
        completion: str,
        reference_answer: str,
        finish_reason: str = "stop",
        answer_format: AnswerFormat = "auto",
    ) -> Grade:
        """The grade of one completion; whatever its text, no exception and no hang.

        A `finish_reason` of "length" makes a missing answer, or one that the limit may have cut
        in two, `truncated`.

        Raises:
            ValueError: if `answer_format` is unknown.
            RuntimeError: if the workers cannot start.
        """
        task = GradingTask(completion, reference_answer, finish_reason, answer_format)
        return self._begin(task, _run_now)()

    def grade_many(self, tasks: Iterable[GradingTask]) -> list[Grade]:
        """The grades of many completions, in their order; symbolic work on all workers at once."""
        with ThreadPoolExecutor(self._workers) as threads:
            waiting = [self._begin(task, threads.submit) for task in tasks]
            return [grade() for grade in waiting]

    def compare(self, reference_answer: str, answer: str) -> Reason:
        """How an answer stands to its reference; each distinct pair is compared once."""
        return self._verdict((reference_answer, answer), _run_now).result()

    def _begin(self, task: GradingTask, run: Run) -> Callable[[], Grade]:
        """Extract and compare as far as is cheap, leave the rest to `run`; the grade on call."""
        found = extract_answer(task.completion, task.answer_format)
        if task.finish_reason == "length" and _may_be_cut(found, task.completion):
            return lambda: Grade(None, False, "truncated")
        if found is None:
            return lambda: Grade(None, False, "no_answer")
        answer, verdict = found.answer, self._verdict((task.reference_answer, found.answer), run)
        return lambda: _grade_of(answer, verdict.result())

    def _verdict(self, pair: Pair, run: Run) -> Future[Reason]:
        """The verdict on (reference, answer), perhaps still to come."""
        verdict, is_mine = self._remembered(pair)
        if is_mine:
            with self._handing_errors_to(verdict, pair):
                self._decide(verdict, pair, run)
        return verdict

    def _decide(self, verdict: Future[Reason], pair: Pair, run: Run) -> None:
        reference, answer = forms_of(_bare_reference(pair[0]), pair[1])
        if not pair[0].strip():
            verdict.set_result("grader_error")
        elif (reason := compare_plain(reference, answer)) is not None:
            verdict.set_result(reason)
        elif refusal(reference.text) or refusal(answer.text):
            verdict.set_result("grader_error")
        else:
            run(lambda: self._decide_symbolically(verdict, pair, (reference.text, answer.text)))

    def _decide_symbolically(self, verdict: Future[Reason], pair: Pair, texts: Pair) -> None:
        with self._handing_errors_to(verdict, pair):
            verdict.set_result(_SYMBOLIC[self._pool.compare(*texts)])

    @contextmanager
    def _handing_errors_to(self, verdict: Future[Reason], pair: Pair) -> Iterator[None]:
        """An error reaches all who wait for the verdict, and is not remembered."""
        try:
            yield
        except BaseException as error:
            with self._lock:
                self._memo.pop(pair, None)
            if not verdict.done():
                verdict.set_exception(error)
            raise

    def _remembered(self, pair: Pair) -> tuple[Future[Reason], bool]:
        """The pair's verdict, and whether it is the caller's to find."""
        if sum(map(len, pair)) > 2 * MAX_LENGTH:
            return Future(), True
        if self._owner != os.getpid():
            self._reset()
        with self._lock:
            if (verdict := self._memo.get(pair)) is not None:
                self._memo.move_to_end(pair)
                return verdict, False
            verdict = self._memo[pair] = Future()
            if len(self._memo) > self._memo_size:
                self._memo.popitem(last=False)
            return verdict, True

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._memo: OrderedDict[tuple[str, str], Future[Reason]] = OrderedDict()
        self._pool = WorkerPool(self._workers, self._limits)


def _run_now(work: Callable[[], None]) -> None:
    work()


def _grade_of(answer: str, reason: Reason) -> Grade:
    return Grade(answer, _CORRECT[reason], reason)


def _may_be_cut(found: Extracted | None, completion: str) -> bool:
    """Whether the length limit came before the answer, or right at its end."""
    if found is None or found.rule == "last_number":
        return True
    return found.rule != "boxed" and found.end >= len(completion)


def _bare_reference(reference_answer: str) -> str:
    """The answer inside a reference that still wears its box or its `####`."""
    if "boxed" in reference_answer or "####" in reference_answer:
        found = extract_answer(reference_answer, "auto")
        return found.answer if found else reference_answer
    return reference_answer
