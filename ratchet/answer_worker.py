"""One process that compares two answers symbolically, and may be killed at any time.

It reads `[reference, answer]` from the socket whose descriptor it is given, as JSON, and answers
`{"equal": true}` or `{"error": "..."}`; no pickle goes either way. At the end of its input (its
parent is gone) it ends. Each comparison runs under the kernel's own limits: address space
(RLIMIT_AS), and CPU time (ITIMER_PROF with SIGPROF's default action), which stop even a loop in C.
CPU time is what counts, so that a busy machine changes no verdict.

Only LaTeX is parsed, by a grammar: Math-Verify's plain-expression parser, which goes through
`eval`, is not used.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

Compare = Callable[[str, str], bool]


def main() -> None:
    """Serve comparisons until the input ends. Arguments: descriptor, CPU seconds, bytes."""
    descriptor, cpu_seconds, memory_bytes = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    connection = Connection(descriptor)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    compare = _load_compare()
    compare(r"\frac{1}{2}", "0.5")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    with contextlib.suppress(EOFError, OSError):
        connection.send_bytes(b"ready")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        while True:
            reference, answer = json.loads(connection.recv_bytes())
            signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
            reply = _reply(compare, reference, answer)
            signal.setitimer(signal.ITIMER_PROF, 0)
            connection.send_bytes(json.dumps(reply).encode())


def _reply(compare: Compare, reference: str, answer: str) -> dict[str, Any]:
    try:
        return {"equal": compare(reference, answer)}
    except Exception as error:  # noqa: BLE001  the one place where a failed comparison is recorded
        return {"error": f"{type(error).__name__}: {error!s:.200}"}


def _load_compare() -> Compare:
    """Math-Verify's comparison, without its own alarms, which only work in a main thread."""
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    # Units were dealt with before; Math-Verify would also drop the `m` of `2m`.
    spelling = NormalizationConfig(
        units=False, malformed_operators=True, nits=True, boxed="none", equations=False
    )
    config = [LatexExtractionConfig(boxed_match_priority=-1, normalization_config=spelling)]

    def read(text: str) -> list[Any]:
        parsed: list[Any] = parse(
            f"${text}$", config, "no_fallback", parsing_timeout=None, raise_on_error=True
        )
        return parsed

    def compare(reference: str, answer: str) -> bool:
        gold, given = read(reference), read(answer)
        return bool(
            gold and given and verify(gold, given, timeout_seconds=None, raise_on_error=True)
        )

    return compare


if __name__ == "__main__":
    main()
