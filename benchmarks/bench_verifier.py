"""The verifier's speed and memory, beside plain Math-Verify in one process, in one run.

Real completions are read from `../shared/data`, which is no part of the project; without it there
is nothing to measure.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.rounds import rounds
from ratchet.verifier.file import VerifyColumns, VerifySettings, verify_file
from ratchet.verifier.grader import Grader, GradingTask

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PLAIN_SAMPLE = 1_000
ROUNDS = 7
"""A round takes a fraction of a second, in which a busy machine may lose a half."""
MILLION = 1_000_000
NASTY = (
    r"2^{2^{2^{49}}}",
    r"9^{9^{9^9}}",
    "1000000000!",
    r"\binom{10^9}{5\cdot 10^8}",
    r"\sum_{k=1}^{10^9} 1/k",
    r"(2/3)^{10^9}",
    r"x^{9^9}+x^{8^8}=\sin x",
    "{" * 5_000 + "5" + "}" * 5_000,
    r"\frac{1}{" * 400 + "2" + "}" * 400,
    "111 " * 50_000,
    ",".join(rf"\sqrt{{{n}}}" for n in range(300)),
    "__import__('os').system('true')",
    "a\0b",
)


def measure() -> dict[str, float] | None:
    """Rates, ratios and peaks; None where the real data is not there."""
    if not DATA.is_dir():
        return None
    gsm8k, math = gsm8k_tasks(), math_tasks()
    rates = {"ratchet": gsm8k, "nasty": with_nasty(gsm8k), "ratchet_math": math}
    found = rounds({name: partial(rate, tasks) for name, tasks in rates.items()}, ROUNDS)
    plain = {"plain": gsm8k, "plain_math": math}
    found |= rounds({name: partial(plain_rate, tasks) for name, tasks in plain.items()}, 2)
    best = {name: measured.best for name, measured in found.items()}
    return {
        **{f"{name}_per_second": round(value, 1) for name, value in best.items()},
        "ratio": round(best["ratchet"] / best["plain"], 1),
        "math_ratio": round(best["ratchet_math"] / best["plain_math"], 1),
        "nasty_slowdown": round(best["ratchet"] / best["nasty"], 2),
        "spread": round(max(measured.spread for measured in found.values()), 2),
        **file_figures(gsm8k),
    }


def gsm8k_tasks() -> list[GradingTask]:
    """Real completions on GSM8K."""
    rows = pq.read_table(DATA / "example_model_solutions.parquet").to_pylist()
    return [GradingTask(row["solution"], row["gold"]) for row in rows]


def math_tasks() -> list[GradingTask]:
    """Each of MATH-500's references in eight spellings, four right and four wrong."""
    answers = [row["answer"] for row in pq.read_table(DATA / "math500.parquet").to_pylist()]
    draws = random.Random(0)
    tasks = []
    for answer in answers:
        other = draws.choice(answers)
        spelled = (
            answer,
            answer.replace("frac", "dfrac"),
            rf"\left( {answer} \right)",
            f"{answer} + 0",
            other,
            f"{answer} + 1",
            f"-{answer}",
            rf"2 \cdot {answer}",
        )
        tasks += [GradingTask(rf"Thus we get $\boxed{{{text}}}$.", answer) for text in spelled]
    return tasks


def with_nasty(tasks: Sequence[GradingTask]) -> list[GradingTask]:
    """The tasks, one in a hundred of them with a nasty answer instead."""
    nasty = itertools.cycle(NASTY)
    return [
        GradingTask(rf"\boxed{{{next(nasty)}}}", task.reference_answer) if n % 100 == 0 else task
        for n, task in enumerate(tasks)
    ]


def plain_rate(tasks: Sequence[GradingTask]) -> float:
    """Completions a second of `verify(parse(gold), parse(completion))`, in this process."""
    from math_verify import parse, verify

    sample = random.Random(0).sample(list(tasks), min(PLAIN_SAMPLE, len(tasks)))
    verify(parse("$1$"), parse("$1$"))
    started = time.perf_counter()
    for task in sample:
        verify(parse(f"${task.reference_answer}$"), parse(task.completion))
    return len(sample) / (time.perf_counter() - started)


def rate(tasks: Sequence[GradingTask]) -> float:
    """Completions a second of a warm `Grader` that has seen none of them."""
    with Grader() as grader:
        list(grader.grade_stream([GradingTask(r"\boxed{\sqrt{8}}", r"2\sqrt{2}")] * 2))
        started = time.perf_counter()
        graded = sum(1 for _ in grader.grade_stream(tasks))
        return graded / (time.perf_counter() - started)


def file_figures(tasks: Sequence[GradingTask]) -> dict[str, float]:
    """`ratchet verify` on a file of a million completions: its rate, and all processes' peak."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.parquet"
        _write_million(source, tasks)
        settings = VerifySettings(columns=VerifyColumns(completion="text", reference="gold"))
        watch = _PeakOfFamily()
        with watch:
            summary = verify_file(source, Path(folder) / "out.parquet", settings)
    return {
        "file_completions": summary.completions,
        "file_per_second": round(summary.per_second, 1),
        "file_peak_mib": round(watch.peak_bytes / 2**20, 1),
    }


def _write_million(path: Path, tasks: Sequence[GradingTask]) -> None:
    table = pa.table(
        {
            "text": [task.completion for task in tasks],
            "gold": [task.reference_answer for task in tasks],
        }
    )
    with pq.ParquetWriter(path, table.schema) as writer:
        left = MILLION
        while left > 0:
            writer.write_table(table.slice(0, left))
            left -= table.num_rows


class _PeakOfFamily:
    """The peak of the proportional set sizes of this process and all that it started."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.5):
            self.peak_bytes = max(self.peak_bytes, sum(map(_pss, _family())))


def _family() -> list[Path]:
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {int(Path("/proc/self").resolve().name)}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return [Path("/proc") / str(pid) for pid in found]


def _pss(process: Path) -> int:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def main() -> None:
    """Print the figures with their goals."""
    figures = measure()
    if figures is None:
        print(f"verifier: not measured, {DATA} is not there")
        return
    print(
        f"verifier: {figures['ratchet_per_second']} completions/s, {figures['ratio']} times plain "
        f"math-verify (goal: at least 20); MATH spellings {figures['math_ratio']} times (goal: at "
        f"least 5); 1 % nasty costs {figures['nasty_slowdown']} times (goal: at most 1.3); "
        f"the best of {ROUNDS} rounds, the worst up to {100 * figures['spread']:.0f} % below; "
        f"{figures['file_completions']} completions in {figures['file_peak_mib']} MiB (goal: 1024)",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--json"]:
        print(json.dumps(measure(), indent=1))
    else:
        main()
