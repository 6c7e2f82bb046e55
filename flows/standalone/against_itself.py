"""A/A: one checkpoint drawn twice and put to the gate and the guards, which should see nothing.

The draws are a run's own: `incumbent` and `aa`, look by look. No alpha is spent by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evals.config import looks_of
from evals.gates import stage as gate_stage
from evals.gates.spending import first_level
from evals.stage import Draw, draw_of_look
from flows.config import Guard
from flows.standalone.evaluator import Evaluation, Evaluator
from flows.standalone.prepare import Preparation
from flows.standalone.tables import protocol_line
from ratchet.errors import InputError
from ratchet.store.artifacts import Artifact, Store

PURPOSES = ("incumbent", "aa")


def check_gate_can_be_put(evaluation: Evaluation) -> None:
    """Refuse what can only give the same completions twice, and problems that gates never see.

    Raises:
        InputError: if the evaluation is greedy, or on a config's test set.
    """
    if evaluation.benchmark.is_test:
        raise InputError(
            "--aa is about the gate, which decides on dev, and every look at test makes its "
            "figures worth less; --benchmark dev"
        )
    if evaluation.settings.eval.temperature == 0:
        raise InputError(
            "--aa with temperature 0 would draw the same completions twice and compare them with "
            "themselves; --set eval.temperature=0.6, or another protocol"
        )


def put_to_gate(
    store: Store,
    evaluator: Evaluator,
    evaluation: Evaluation,
    preparation: Preparation,
) -> dict[str, Any]:
    """What the gate, and the config's guards, decide on the checkpoint against itself.

    The level is that of a run's first decision; without a config, all of `gate.alpha`.
    """
    settings = evaluation.settings
    config = preparation.guarded_config(evaluation)
    level = first_level(settings.gate, config.iterations if config else 1)
    inputs = _looked(evaluator, evaluation, level)
    guards = {
        guard.name: _guarded(evaluator, guard, inputs, preparation)
        for guard in (config.guards if config else ())
    }
    inputs = replace(inputs, guards=guards)
    artifact, reused = store.build(
        gate_stage.spec(settings.gate, inputs),
        lambda out: gate_stage.run(settings.gate, inputs, out),
    )
    return {
        "checkpoint": evaluation.checkpoint.name,
        "benchmark": evaluation.benchmark.name,
        "artifact": artifact.identity,
        "reused": reused,
        "protocol": evaluation.told(),
        "metrics": artifact.metrics,
    }


def _looked(evaluator: Evaluator, evaluation: Evaluation, level: float) -> gate_stage.GateInputs:
    """Both draws, look by look, until it is clear."""
    settings = evaluation.settings
    looks = looks_of(settings.gate, settings.eval)
    inputs = gate_stage.GateInputs(evaluation=settings.eval, looks=looks, level=level)

    def draw(at: int) -> tuple[Artifact, Artifact]:
        one, other = (
            evaluator.measure(evaluation, draw_of_look(looks, at, purpose)).artifact
            for purpose in PURPOSES
        )
        return one, other

    return gate_stage.look_by_look(settings.gate, inputs, draw)


def _guarded(
    evaluator: Evaluator, guard: Guard, dev: gate_stage.GateInputs, preparation: Preparation
) -> gate_stage.Guarded:
    """What a guard watches: its own problems, or the completions that are there."""
    if guard.problems is None:
        return gate_stage.Guarded(config=guard, incumbent=dev.incumbent, candidate=dev.candidate)
    (on_guard,) = preparation.evaluations(guard.name)
    count = guard.drawn(on_guard.settings.eval)
    one, other = (
        evaluator.measure(on_guard, Draw(count, 0, purpose)).artifact for purpose in PURPOSES
    )
    return gate_stage.Guarded(config=guard, incumbent=(one,), candidate=(other,))


def told(result: Mapping[str, Any]) -> list[str]:
    """What gate and guards decided, in words."""
    metrics = result["metrics"]
    lines = [
        f"{result['checkpoint']} against itself on {result['benchmark']}",
        f"  gate: {metrics['verdict']}: {metrics['reason']}",
    ]
    lines += [f"    {_look_line(look)}" for look in metrics["looks"]]
    lines += [f"  {guard['reason']}" for guard in metrics["guards"].values()]
    return [*lines, f"  {_verdict(metrics)}", f"  protocol {protocol_line(result['protocol'])}"]


def _look_line(look: Mapping[str, Any]) -> str:
    p = "–" if look["p"] is None else f"{look['p']:.2g}"
    means = f"{100 * look['incumbent']:.1f} % and {100 * look['candidate']:.1f} %"
    return (
        f"at {look['completions']} completions of {look['n']:,} problems: {means}, p={p} against "
        f"{look['level']:.2g}: {_OUTCOMES[look['outcome']]}"
    )


_OUTCOMES = {
    "promote": "promote",
    "go_on": "look again",
    "futile": "stop, it is behind",
    "end": "no gain shown",
}


def _verdict(metrics: Mapping[str, Any]) -> str:
    refused = [n for n, g in metrics["guards"].items() if g["verdict"] == "refused"]
    fooled = ["the gate promoted"] if metrics["looks"][-1]["outcome"] == "promote" else []
    fooled += [f"guard {name} refused" for name in refused]
    if not fooled:
        return "A/A: nothing was seen where there is nothing, as it should be"
    return (
        f"A/A: {' and '.join(fooled)} a checkpoint that is the same: chance does that at the "
        "stated levels; if other seeds (--seed) show it often, the levels are not kept"
    )
