"""`make fuzz`: mutated completions; never an exception, a hang, or two verdicts on one text.

Mutates answers and texts that were seen to matter, and real completions where `../shared/data` is
there. Prints the seed and the text of whatever fails, and ends with status 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ratchet.verifier.grader import Grade, Grader, GradingTask
from ratchet.verifier.grades import FAILURES

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SECONDS = 30.0
"""A grade that takes longer than this hangs; a busy machine is slow to start workers."""
SEEDS = (
    r"so $\boxed{\frac{3}{4}}$.", "#### 1,234", '{"answer": "\\frac{1}{2}"', "<answer>x=5</answer>",
    r"\boxed{\{1, 2\}}", r"The answer is $\left[-2, 7\right)$.", "**18**", r"\boxed{2^{10}}",
    r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}", r"\boxed{1 \pm \sqrt{19}}", "A: 18 dollars",
    r"\boxed{\sum_{k=1}^{5} k!}", r"x \in (-\infty, 0] \cup (3, \infty)", "Question: 5\nAnswer: 6",
)  # fmt: skip
PIECES = (
    "{", "}", "\\", "$", "^", "_", "\\frac", "\\sqrt", "\\boxed{", "(", ")", "[", "]", ",", "=",
    "!", "9", "0", "-", ".", "x", "\\pm", "\\cup", " and ", " or ", "\\text{", "\\\\", "&", "\0",
    "\ud800", "\n", "\u221e", "%", "\\in", "<", "|", ":", "answer", "Question:", "</think>", "\"",
    "\\int ", "\\lim ", "\\sum_{n=1}^{\\infty}", "\\left", "\\infty", "10^{10}", "e^{", "\\begin{",
)  # fmt: skip
REFERENCES = ("18", r"\frac{3}{4}", r"3\sqrt{2}", "(1,2)", "x^2+1", r"\{1,2\}", r"(-\infty,3]")


def seeds() -> list[str]:
    """Texts to mutate."""
    found = list(SEEDS)
    if DATA.is_dir():
        import pyarrow.parquet as pq

        nemo = pq.read_table(DATA / "nemo_skills_50x3.parquet").column("completion").to_pylist()
        gsm8k = pq.read_table(DATA / "example_model_solutions.parquet").column("solution")
        found += [text[-600:] for text in nemo] + gsm8k.to_pylist()[:200]
    return found


def mutated(text: str, draws: random.Random) -> str:
    """`text` after a few cuts, copies, swaps and insertions."""
    changes: tuple[Callable[[str, int, int], str], ...] = (
        lambda t, i, j: t[:i] + draws.choice(PIECES) + t[i:],
        lambda t, i, j: t[:i] + t[j:],
        lambda t, i, j: t[:j] + t[i:],
        lambda t, i, j: t[:i] + t[i:j] * draws.choice((2, 3, 40)) + t[j:],
        lambda t, i, j: t[:i] + t[i:j][::-1] + t[j:],
    )
    for _ in range(draws.randint(1, 6)):
        i, j = sorted((draws.randint(0, len(text)), draws.randint(0, len(text))))
        text = draws.choice(changes)(text, i, min(j, i + 40))
    return text[:20_000]


def fuzz(count: int, seed: int, grader: Grader) -> Counter[str]:
    """Grade `count` mutations, each by two graders' memories; counts by reason.

    Raises:
        AssertionError: with the text, if a grade took too long or the second verdict differs.
    """
    draws, texts, reasons = random.Random(seed), seeds(), Counter[str]()
    for number in range(count):
        text, reference = mutated(draws.choice(texts), draws), draws.choice(REFERENCES)
        task = GradingTask(text, reference, draws.choice(("stop", "stop", "length")))
        grade, again = _timed(grader, task), _again(grader, task)
        same = grade == again or {grade.reason, again.reason} & FAILURES
        assert same, f"{seed}/{number}: {grade} then {again} on {text!r}"
        reasons[grade.reason] += 1
    return reasons


def _timed(grader: Grader, task: GradingTask) -> Grade:
    started = time.monotonic()
    grade = grader.grade(task.completion, task.reference_answer, task.finish_reason)
    seconds = time.monotonic() - started
    assert seconds < SECONDS, f"{seconds:.1f} s for {task.completion!r}"
    return grade


def _again(grader: Grader, task: GradingTask) -> Grade:
    """The grade once more, without the memory of the first."""
    grader.forget()
    return grader.grade(task.completion, task.reference_answer, task.finish_reason)


def main() -> None:
    """Fuzz until `--count` is reached; one line for each thousand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    settings = parser.parse_args()
    total: Counter[str] = Counter()
    with Grader() as grader:
        for block in range(-(-settings.count // 1000)):
            seed = settings.seed + block
            try:
                total += fuzz(min(1000, settings.count - 1000 * block), seed, grader)
            except Exception as error:  # noqa: BLE001  the boundary: report the seed, and fail
                print(f"seed {seed}: {type(error).__name__}: {error}")
                sys.exit(1)
            print(f"{sum(total.values())} completions, seed {seed}: no failure", flush=True)
    print(dict(total.most_common()))


if __name__ == "__main__":
    main()
