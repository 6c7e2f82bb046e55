"""One process that compares two answers symbolically, and may be killed at any time.

It reads `[reference, answer, policy]` from the socket whose descriptor it is given, as JSON, and
answers `{"equal": true, "disagreed": false}` or `{"error": "..."}`; no pickle goes either way. At
the end of its input (its parent is gone) it ends. Each comparison runs under the kernel's own
limits: address space (RLIMIT_AS), and CPU time (ITIMER_PROF with SIGPROF's default action), which
stop even a loop in C. CPU time is what counts, so that a busy machine changes no verdict.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

Compare = Callable[[str, str, dict[str, Any]], dict[str, Any]]


def main() -> None:
    """Serve comparisons until the input ends. Arguments: descriptor, CPU seconds, bytes."""
    descriptor, cpu_seconds, memory_bytes = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    connection = Connection(descriptor)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    compare = _load_compare()
    compare(r"\frac{1}{2}+x", r"x+0.5", {})
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    with contextlib.suppress(EOFError, OSError):
        connection.send_bytes(b"ready")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        while True:
            reference, answer, policy = json.loads(connection.recv_bytes())
            signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
            reply = _reply(compare, reference, answer, policy)
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.send_bytes(json.dumps(reply).encode())


def _reply(compare: Compare, reference: str, answer: str, policy: dict[str, Any]) -> dict[str, Any]:
    try:
        return compare(reference, answer, policy)
    except MemoryError:
        return {"error": "memory"}
    except Exception as error:  # noqa: BLE001  the one place where a failed comparison is recorded
        return {"error": f"{type(error).__name__}: {error!s:.200}"}


def _load_compare() -> Compare:
    """The comparison, with everything heavy imported."""
    from ratchet.verifier.compare.tiers import compare_fully
    from ratchet.verifier.rules import AnswerRules
    from ratchet.verifier.symbolic.comparer import Comparer, SwallowedErrors

    errors = SwallowedErrors()

    def compare(reference: str, answer: str, policy: dict[str, Any]) -> dict[str, Any]:
        chosen = AnswerRules(**policy)
        comparer = Comparer(chosen, errors)
        equal = compare_fully(reference, answer, chosen, comparer.equal)
        return {"equal": equal, "disagreed": comparer.disagreed}

    return compare


if __name__ == "__main__":
    main()
