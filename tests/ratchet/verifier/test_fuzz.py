"""A short run of `make fuzz`, on a fixed seed."""

from benchmarks.fuzz_verifier import fuzz
from ratchet.verifier.grader import Grader


def test_2000_mutations_raise_nothing_hang_nowhere_and_get_one_verdict_each() -> None:
    with Grader() as grader:
        reasons = fuzz(2_000, seed=20_240, grader=grader)
    assert sum(reasons.values()) == 2_000
