"""Guards: benchmarks that must not get worse, by a non-inferiority test with a margin."""

from __future__ import annotations

from evals.config import GateConfig, GuardConfig
from evals.gates.paired import Decision, Pairs
from evals.metrics.paired_tests import non_inferiority_p


def check_guard(name: str, config: GuardConfig, gate: GateConfig, pairs: Pairs) -> Decision:
    """Whether the candidate is not worse than the incumbent by `margin` on a guard.

    `gate` bounds what may be without a verdict, as it does on dev.
    """
    if objection := pairs.unscored.objection(gate):
        return Decision(promoted=False, reason=f"guard {name}: {objection}", **pairs.numbers())
    p = non_inferiority_p(pairs.candidate, pairs.incumbent, config.margin, seed=0)
    reason = (
        f"guard {name}: {100 * pairs.difference:+.1f} points, "
        f"p={p:.2g} for a loss under {100 * config.margin:g}{pairs.note}"
    )
    return Decision(
        promoted=p < config.alpha,
        reason=reason,
        test="non_inferiority",
        p=p,
        **pairs.numbers(),
    )
