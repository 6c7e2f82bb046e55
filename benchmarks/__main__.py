"""`make bench`: the figures that the README quotes, each measured in this one run."""

from __future__ import annotations

from benchmarks import (
    bench_filters,
    bench_memory,
    bench_run,
    bench_sampling,
    bench_training,
    bench_verifier,
)


def main() -> None:
    """Print each figure with its goal."""
    memory = bench_memory.measure()
    print(
        f"memory: {memory['large_completions']} completions need {memory['ratio']} times the peak "
        f"of {memory['small_completions']} "
        f"({memory['large_peak_mib']} and {memory['small_peak_mib']} MiB; goal: at most 1.1)",
        flush=True,
    )
    sampling = bench_sampling.measure()
    print(
        f"sampling: {sampling['ratio']} of bare LLM.generate's tokens/s (goal: at least 0.9)",
        flush=True,
    )
    bench_verifier.main()
    bench_filters.main()
    bench_training.main()
    run = bench_run.measure()
    print(f"engine starts: {run['engine_starts']} in a run (goal: 1)")
    print(
        f"overhead: {100 * run['overhead_share']:.1f} % of {run['wall_seconds']} s around the "
        "stages' own work (goal: at most 10 %)"
    )


if __name__ == "__main__":
    main()
