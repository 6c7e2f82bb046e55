"""The one grader: what decides that a completion's final answer equals the reference.

Filters, evaluation and the GRPO reward all ask here. The answer is found by `find.extraction`,
compared as text, as exact numbers and part by part by `compare.tiers`, and only then, in a process
that can be killed, symbolically by Math-Verify. Nothing that a model wrote is ever evaluated as
Python. docs/verifier.md tells the rules.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from ratchet.verifier.compare.limits import MAX_LENGTH, refusal
from ratchet.verifier.compare.tiers import Tier, compare_plain
from ratchet.verifier.find.extraction import AnswerFormat, Extracted, extract_answer, may_be_cut
from ratchet.verifier.find.references import bare_reference
from ratchet.verifier.grades import FAILURES, Comparison, Grade, GradingTask, Reason
from ratchet.verifier.guards import (
    guard_completion,
    guard_wrong,
    leaves_unevaluated,
    repeats_problem,
)
from ratchet.verifier.rules import DEFAULT_RULES, AnswerRules
from ratchet.verifier.symbolic.pool import Ending, WorkerLimits, WorkerPool

GRADER_VERSION = 4
"""Counts up whenever a verdict may change, so that what was graded before is graded again."""

__all__ = [
    "DEFAULT_RULES",
    "GRADER_VERSION",
    "AnswerFormat",
    "AnswerRules",
    "Comparison",
    "Extracted",
    "Grade",
    "Grader",
    "GradingTask",
    "Reason",
    "WorkerLimits",
    "extract_answer",
]

Pair = tuple[str, str]
Run = Callable[[Callable[[], None]], object]

_SYMBOLIC: dict[Ending, Reason] = {
    "equal": "equal_symbolic",
    "different": "different",
    "timeout": "timeout",
    "memory": "memory",
    "error": "grader_error",
}
MAX_COMPLETION = 1_000_000
"""Characters of a completion that are still read."""
WINDOW = 2_000
"""Completions that `grade_stream` holds at a time."""


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

    def forget(self) -> None:
        """Drop all remembered verdicts, so that each is found anew."""
        with self._lock:
            self._memo.clear()

    def grade(
        self,
        completion: str,
        reference_answer: str,
        finish_reason: str = "stop",
        answer_format: AnswerFormat = "auto",
        *,
        problem: str | None = None,
        policy: AnswerRules = DEFAULT_RULES,
    ) -> Grade:
        """The grade of one completion; whatever its text, no exception and no hang.

        A `finish_reason` of "length" makes a missing answer, or one that the limit may have cut
        in two, `truncated`. `problem` is the problem's text, for the guard against repeating it.

        Raises:
            ValueError: if `answer_format` is unknown.
            RuntimeError: if the workers cannot start.
        """
        task = GradingTask(
            completion, reference_answer, finish_reason, answer_format, problem, policy
        )
        return _finished(self._begin(task, _run_now))

    def grade_many(self, tasks: Iterable[GradingTask]) -> list[Grade]:
        """The grades of many completions, in their order; symbolic work on all workers at once."""
        return list(self.grade_stream(tasks))

    def grade_stream(self, tasks: Iterable[GradingTask], window: int = WINDOW) -> Iterator[Grade]:
        """As `grade_many`, holding at most `window` completions at a time."""
        waiting: deque[Grade | Callable[[], Grade]] = deque()
        with ThreadPoolExecutor(self._workers) as threads:
            for task in tasks:
                waiting.append(self._begin(task, threads.submit))
                while waiting and (len(waiting) >= window or isinstance(waiting[0], Grade)):
                    yield _finished(waiting.popleft())
            while waiting:
                yield _finished(waiting.popleft())

    def compare(
        self, reference_answer: str, answer: str, policy: AnswerRules = DEFAULT_RULES
    ) -> Reason:
        """How an answer stands to its reference; each distinct pair is compared once."""
        return self.judge(reference_answer, answer, policy).reason

    def judge(
        self, reference_answer: str, answer: str, policy: AnswerRules = DEFAULT_RULES
    ) -> Comparison:
        """As `compare`, with the tier that decided."""
        return _known(self._verdict((reference_answer, answer), policy, _run_now))

    def _begin(self, task: GradingTask, run: Run) -> Grade | Callable[[], Grade]:
        """Extract and compare as far as is cheap, leave the rest to `run`; the grade on call."""
        if len(task.completion) > MAX_COMPLETION:
            return _TOO_LONG
        if not task.reference_answer.strip():
            return _NO_REFERENCE
        found = extract_answer(task.completion, task.answer_format)
        if task.finish_reason == "length" and may_be_cut(found, task.completion):
            return _TRUNCATED
        if found is None:
            return _NO_ANSWER
        if (trick := guard_completion(task.completion, found, task.policy)) is not None:
            return Grade(found.answer, False, trick, found.rule)
        if found.rivals and self._contradicts_itself(found, task.policy):
            return Grade(found.answer, False, "several_answers", found.rule)
        verdict = self._verdict((task.reference_answer, found.answer), task.policy, run)
        if isinstance(verdict, Comparison):
            return _grade_of(task, found, verdict)
        return lambda: _grade_of(task, found, verdict.result())

    def _contradicts_itself(self, found: Extracted, policy: AnswerRules) -> bool:
        """Whether any of the other final answers says something else."""
        if policy.several_answers == "last":
            return False
        rivals = found.rivals[:3] if len(found.rivals) < 4 else found.rivals[:1]
        return any(not self.compare(rival, found.answer).startswith("equal") for rival in rivals)

    def _verdict(
        self, pair: Pair, policy: AnswerRules, run: Run
    ) -> Comparison | Future[Comparison]:
        """The verdict on (reference, answer), perhaps still to come."""
        key = (policy, *pair)
        known = self._memo.get(key)
        if known is not None and self._owner == os.getpid():
            return known
        verdict, is_mine = self._remembered(key)
        if is_mine and isinstance(verdict, Future):
            with self._handing_errors_to(verdict, key):
                self._decide(verdict, key, run)
            if verdict.done():
                return verdict.result()
        return verdict

    def _decide(self, verdict: Future[Comparison], key: Key, run: Run) -> None:
        policy, reference, answer = key
        reference = bare_reference(reference)
        if not reference.strip():
            self._settle(verdict, key, Comparison("reference_missing"))
        elif (plain := compare_plain(reference, answer, policy)) is not None:
            self._settle(verdict, key, Comparison(plain.reason, plain.tier))
        elif refusal(answer):
            self._settle(verdict, key, Comparison("too_large"))
        elif refusal(reference):
            self._settle(verdict, key, Comparison("grader_error"))
        else:
            run(lambda: self._decide_symbolically(verdict, key, (reference, answer)))

    def _decide_symbolically(self, verdict: Future[Comparison], key: Key, texts: Pair) -> None:
        with self._handing_errors_to(verdict, key):
            outcome = self._pool.compare(*texts, key[0])
            tier: Tier | None = "symbolic" if outcome.ending in ("equal", "different") else None
            self._settle(
                verdict, key, Comparison(_SYMBOLIC[outcome.ending], tier, outcome.disagreed)
            )

    def _settle(self, verdict: Future[Comparison], key: Key, judged: Comparison) -> None:
        with self._lock:
            if key in self._memo:
                self._memo[key] = judged
        verdict.set_result(judged)

    @contextmanager
    def _handing_errors_to(self, verdict: Future[Comparison], key: Key) -> Iterator[None]:
        """An error reaches all who wait for the verdict, and is not remembered."""
        try:
            yield
        except BaseException as error:
            with self._lock:
                self._memo.pop(key, None)
            if not verdict.done():
                verdict.set_exception(error)
            raise

    def _remembered(self, key: Key) -> tuple[Comparison | Future[Comparison], bool]:
        """The pair's verdict, and whether it is the caller's to find."""
        if len(key[1]) + len(key[2]) > 2 * MAX_LENGTH:
            return Future(), True
        if self._owner != os.getpid():
            self._reset()
        with self._lock:
            if (verdict := self._memo.get(key)) is not None:
                return verdict, False
            mine: Future[Comparison] = Future()
            self._memo[key] = mine
            if len(self._memo) > self._memo_size:
                del self._memo[next(iter(self._memo))]
            return mine, True

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._memo: dict[Key, Comparison | Future[Comparison]] = {}
        self._pool = WorkerPool(self._workers, self._limits)


Key = tuple[AnswerRules, str, str]
_TOO_LONG = Grade(None, False, "too_large")
_TRUNCATED = Grade(None, False, "truncated")
_NO_REFERENCE = Grade(None, None, "reference_missing")
_NO_ANSWER = Grade(None, False, "no_answer")


def _run_now(work: Callable[[], None]) -> None:
    work()


def _finished(grade: Grade | Callable[[], Grade]) -> Grade:
    return grade if isinstance(grade, Grade) else grade()


def _known(verdict: Comparison | Future[Comparison]) -> Comparison:
    return verdict if isinstance(verdict, Comparison) else verdict.result()


def _grade_of(task: GradingTask, found: Extracted, judged: Comparison) -> Grade:
    """The grade that a comparison comes to, once the guards have seen it."""
    reference, reason = bare_reference(task.reference_answer), judged.reason
    correct: bool | None = reason.startswith("equal")
    if reason == "different":
        reason = guard_wrong(reference, found.answer) or reason
    elif reason == "equal_symbolic" and leaves_unevaluated(reference, found.answer, task.policy):
        correct, reason = False, "unevaluated"
    elif correct and task.problem and repeats_problem(task.problem, reference, found.answer):
        correct, reason = False, "repeats_problem"
    elif reason in FAILURES:
        correct = None
    return Grade(found.answer, correct, reason, found.rule, judged.tier, judged.disagreed)
