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
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from ratchet.answer_extraction import AnswerFormat, Extracted, extract_answer
from ratchet.answer_forms import MAX_LENGTH, compare_plain, forms_of, refusal
from ratchet.answer_pool import WorkerLimits, WorkerPool

__all__ = [
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
        found = extract_answer(completion, answer_format)
        if finish_reason == "length" and _may_be_cut(found, completion):
            return Grade(None, False, "truncated")
        if found is None:
            return Grade(None, False, "no_answer")
        reason = self.compare(reference_answer, found.answer)
        return Grade(found.answer, _CORRECT[reason], reason)

    def grade_many(self, tasks: Iterable[GradingTask]) -> list[Grade]:
        """The grades of many completions, in their order, on all workers at once."""
        with ThreadPoolExecutor(self._workers) as threads:
            return list(threads.map(self._grade_task, tasks))

    def compare(self, reference_answer: str, answer: str) -> Reason:
        """How an answer stands to its reference; each distinct pair is compared once."""
        if len(reference_answer) + len(answer) > 2 * MAX_LENGTH:
            return self._compare(reference_answer, answer)
        future, is_mine = self._remember((reference_answer, answer))
        if is_mine:
            self._settle(future, reference_answer, answer)
        return future.result()

    def _grade_task(self, task: GradingTask) -> Grade:
        return self.grade(
            task.completion, task.reference_answer, task.finish_reason, task.answer_format
        )

    def _compare(self, reference_answer: str, answer: str) -> Reason:
        if not reference_answer.strip():
            return "grader_error"
        reference, given = forms_of(_bare_reference(reference_answer), answer)
        if (reason := compare_plain(reference, given)) is not None:
            return reason
        if refusal(reference.text) or refusal(given.text):
            return "grader_error"
        return _SYMBOLIC[self._pool.compare(reference.text, given.text)]

    def _remember(self, pair: tuple[str, str]) -> tuple[Future[Reason], bool]:
        """The pair's verdict, perhaps still to come, and whether it is the caller's to find."""
        if self._owner != os.getpid():
            self._reset()
        with self._lock:
            if (future := self._memo.get(pair)) is not None:
                self._memo.move_to_end(pair)
                return future, False
            future = self._memo[pair] = Future()
            if len(self._memo) > self._memo_size:
                self._memo.popitem(last=False)
            return future, True

    def _settle(self, future: Future[Reason], reference_answer: str, answer: str) -> None:
        try:
            future.set_result(self._compare(reference_answer, answer))
        except BaseException as error:
            with self._lock:
                self._memo.pop((reference_answer, answer), None)
            future.set_exception(error)
            raise

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._memo: OrderedDict[tuple[str, str], Future[Reason]] = OrderedDict()
        self._pool = WorkerPool(self._workers, self._limits)


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
