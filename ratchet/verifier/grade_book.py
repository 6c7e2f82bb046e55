"""The grades of a group, handed from who graded it first to who asks next, and on disk meanwhile.

Sampling counts what is accepted while it waits for the engine; the filter stage needs the same
grades of the same groups. Nothing hangs on them: what is not in the book is graded again.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from operator import attrgetter
from typing import IO

from ratchet.verifier.grades import Grade, GradingTask

_FIELDS = attrgetter("answer", "correct", "reason", "rule", "tier", "disagreed")


def key_of(tasks: Sequence[GradingTask]) -> bytes:
    """Sixteen bytes that tell whether a group and what grades it are the same."""
    known = blake2b(digest_size=16)
    for task in tasks:
        texts = (task.completion, task.reference_answer, task.problem or "")
        settings = (*map(len, texts), task.finish_reason, task.answer_format, task.policy)
        known.update(repr(settings).encode())
        for text in texts:
            known.update(text.encode(errors="surrogatepass"))
    return known.digest()


class GradeBook:
    """Grades by `key_of` their group, each kept until it is taken. For any thread.

    Memory holds a key and a place for each group not yet taken. The file has no name and ends with
    the process; a disk without room only means that less is handed on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[bytes, tuple[int, int]] = {}
        self._file: IO[bytes] | None = None
        self._end = 0

    def note(self, key: bytes, grades: Sequence[Grade]) -> None:
        """Keep a group's grades until they are taken."""
        record = pickle.dumps([_FIELDS(grade) for grade in grades])
        with self._lock, suppress(OSError):
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115  close() ends it
            if os.pwrite(self._file.fileno(), record, self._end) == len(record):
                self._places[key] = (self._end, len(record))
                self._end += len(record)

    def take(self, key: bytes) -> list[Grade] | None:
        """A group's grades, once; None where they are not here."""
        with self._lock:
            if self._file is None or key not in self._places:
                return None
            start, size = self._places.pop(key)
            record = os.pread(self._file.fileno(), size, start)
            if not self._places:
                os.ftruncate(self._file.fileno(), 0)
                self._end = 0
        return [Grade(*fields) for fields in pickle.loads(record)]

    def close(self) -> None:
        """Let go of everything. The book may be used again."""
        with self._lock:
            if self._file:
                self._file.close()
            self._file, self._end = None, 0
            self._places.clear()
