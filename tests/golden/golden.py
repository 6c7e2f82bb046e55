"""What stores that people have filled depend on: identities of stages, and small outputs of them.

`python -m tests.golden.golden` renews the two JSON files beside this one. It only adds: an output
that changed under the same VERSION, or an identity that changed without a reason given by
`--orphan-stores`, is refused.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import TypeAdapter

from evals import gate as gate_stage
from evals import stage as eval_stage
from filters import selection
from filters import stage as filter_stage
from filters.select_config import SelectionConfig
from flows.config import RunConfig, load_config
from ratchet import problem_set
from ratchet.answers import Grader
from ratchet.engine import Group, Request, Sampling
from ratchet.grading import GradingRules
from ratchet.identity import ArtifactSpec, digest
from ratchet.policy import Policy
from ratchet.sources.config import ArithmeticSource
from ratchet.store import Artifact, Manifest, Store
from samplers import do_sample
from samplers.config import DoSampleConfig, ReplayEngineConfig
from samplers.replay_engine import ReplayEngine
from trainers import stage as train_stage

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parents[1] / "configs"
RECIPES = ("demo", "demo-filters", "demo-sft-dpo", "demo-grpo")
BASE = Policy(fingerprint="base", model="base")
CANDIDATE = Policy(fingerprint="candidate", model="candidate", iteration=0)

Golden = dict[str, str]


def known(name: str) -> Golden:
    """The literals of `identities.json` or `outputs.json`."""
    found: Golden = json.loads((HERE / f"{name}.json").read_text())
    return found


def identities() -> Golden:
    """Step and VERSION -> identity, for each stage of the shipped CPU recipes.

    Inputs are stand-ins with fixed fingerprints, so a step's identity depends on its own settings
    alone.
    """
    found: Golden = {}
    with Grader(workers=1) as grader:
        for recipe in RECIPES:
            config = load_config(CONFIGS / f"{recipe}.toml")
            for name, spec in _specs(config, grader):
                found[f"{recipe}/{name}@{spec.version}"] = spec.identity
    return found


def _specs(config: RunConfig, grader: Grader) -> Iterator[tuple[str, ArtifactSpec]]:
    for name, source in config.sources().items():
        yield f"problems/{name}", problem_set.spec(source)
    rules = GradingRules.of(config.problems.train)
    completions, verdicts, rows = (_stand_in(name) for name in ("sample", "filter", "select"))
    yield "sample", do_sample.spec(config.sampler, _sample_inputs(config, ()))
    filtering = filter_stage.FilterInputs(
        completions=completions,
        problems={},
        problems_fingerprint="train",
        rules=rules,
        grader=grader,
    )
    yield "filter", filter_stage.spec(config.filters, filtering)
    for training in config.trainings():
        selecting = _select_inputs(completions, verdicts, config.filters, {}, config.seed)
        yield f"select/{training.label}", selection.spec(training.selection, selecting)
        inputs = train_stage.TrainInputs(
            rows=rows,
            start=CANDIDATE,
            base=BASE,
            iteration=0,
            seed=config.seed,
            log_path=Path("train.log"),
            rules=rules,
        )
        yield f"train/{training.label}", train_stage.spec(training.trainer, inputs)
    evaluating = _eval_inputs("dev", (), CANDIDATE, _Replay.of(None), grader)
    yield "eval", eval_stage.spec(config.eval, evaluating)
    yield "gate", gate_stage.spec(config.gate, _gate_inputs(*map(_stand_in, "abc")))


def _stand_in(name: str) -> Artifact:
    manifest = Manifest(
        identity=f"{name}-stand-in",
        stage=name,
        version=0,
        settings={},
        inputs={},
        parts=(),
        metrics={},
        fingerprint=name,
        seconds=0.0,
    )
    return Artifact(Path(name), manifest)


class _Replay:
    """A replay engine in this process."""

    def __init__(self, engine: ReplayEngine | None) -> None:
        self._engine = engine

    @classmethod
    def of(cls, recording: Path | None) -> _Replay:
        config = ReplayEngineConfig(path=str(recording)) if recording else None
        return cls(ReplayEngine(config) if config else None)

    def generate(
        self, policy: Policy, sampling: Sampling, requests: Iterable[Request]
    ) -> Iterator[Group]:
        assert self._engine
        self._engine.load(policy)
        for request in requests:
            self._engine.add(request)
            yield from self._engine.step()

    def release_device(self) -> None:
        """Nothing is held."""


def outputs(folder: Path) -> Golden:
    """Stage and VERSION -> digest of what it makes of the same few problems."""
    store, found = Store(folder / "store"), {}

    def made(name: str, artifact: Artifact, *, metrics: bool = False) -> Artifact:
        rows = [row for file in artifact.part_files() for row in pq.read_table(file).to_pylist()]
        content = [rows, artifact.metrics if metrics else {}]
        found[f"{name}@{artifact.manifest.version}"] = digest(content)
        return artifact

    train, dev = (_problems(store, split) for split in ("train", "dev"))
    made("problems", train.artifact)
    recording = _record(folder / "recording.jsonl", train, dev)
    with Grader(workers=1) as grader:
        completions = made("sample", _sampled(store, train, recording))
        configs = load_config(CONFIGS / "demo-filters.toml").filters
        verdicts = made("filter", _judged(store, train, completions, configs, grader))
        for kind in ("sft", "dpo", "grpo"):
            chosen = TypeAdapter(SelectionConfig).validate_python({"kind": kind})
            inputs = _select_inputs(completions, verdicts, configs, train.by_id(), 0)
            spec = selection.spec(chosen, inputs)
            rows, _ = store.build(spec, lambda out, c=chosen, i=inputs: selection.run(c, i, out))
            made(f"select/{kind}", rows)
        before, after = (
            made(f"eval/{policy.model}", _evaluated(store, dev, policy, recording, grader))
            for policy in (BASE, CANDIDATE)
        )
    gating = _gate_inputs(before, before, after)
    config = load_config(CONFIGS / "demo.toml").gate
    decision, _ = store.build(
        gate_stage.spec(config, gating), lambda out: gate_stage.run(config, gating, out)
    )
    made("gate", decision, metrics=True)
    return found


def _problems(store: Store, split: str) -> problem_set.ProblemSet:
    source = ArithmeticSource(split=split, size=12, levels=(1, 2))  # type: ignore[arg-type]
    return problem_set.load_set(store, split, source)


def _record(path: Path, train: problem_set.ProblemSet, dev: problem_set.ProblemSet) -> Path:
    """Right, wrong, cut and hopeless completions; the candidate solves more of dev."""
    rows = []
    for problem in train.problems:
        right = problem.solution or ""
        texts = [right, f"So: {right}", "It is \\boxed{-1}.", "no idea", right[: len(right) // 2]]
        for attempt, text in enumerate(texts):
            reason = "length" if attempt == len(texts) - 1 else "stop"
            rows.append(_row(problem.problem_id, attempt, text, finish_reason=reason))
    for at, problem in enumerate(dev.problems):
        for iteration, every in ((-1, 4), (0, 1)):
            text = (problem.solution or "") if at % every == 0 else "It is \\boxed{-1}."
            rows.append(_row(problem.problem_id, 0, text, policy_iteration=iteration))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _row(problem_id: str, attempt: int, text: str, **more: Any) -> dict[str, Any]:
    size = len(text.split())
    row = {"problem_id": problem_id, "attempt": attempt, "completion": text, "num_tokens": size}
    return {**row, **more}


def _sample_inputs(
    config: RunConfig, problems: Any, completer: _Replay | None = None
) -> do_sample.SampleInputs:
    return do_sample.SampleInputs(
        problems=problems,
        problems_fingerprint="train",
        policy=BASE,
        completer=completer or _Replay.of(None),
        prompt=config.prompt,
        engine=config.engine,
        iteration=0,
        seed=config.seed,
    )


def _sampled(store: Store, train: problem_set.ProblemSet, recording: Path) -> Artifact:
    demo = load_config(CONFIGS / "demo.toml")
    config = DoSampleConfig(group_size=5, shard_size=20, max_tokens=64)
    inputs = _sample_inputs(demo, train.problems, _Replay.of(recording))
    spec = do_sample.spec(config, inputs)
    return store.build(spec, lambda out: do_sample.run(config, inputs, out))[0]


def _judged(
    store: Store, train: problem_set.ProblemSet, completions: Artifact, configs: Any, grader: Grader
) -> Artifact:
    inputs = filter_stage.FilterInputs(
        completions=completions,
        problems=train.by_id(),
        problems_fingerprint="train",
        rules=train.rules,
        grader=grader,
    )
    spec = filter_stage.spec(configs, inputs)
    return store.build(spec, lambda out: filter_stage.run(configs, inputs, out))[0]


def _select_inputs(
    completions: Artifact, verdicts: Artifact, filters: Any, problems: Mapping[str, Any], seed: int
) -> selection.SelectInputs:
    return selection.SelectInputs(
        completions=completions,
        verdicts=verdicts,
        filters=filters,
        problems=problems,
        problems_fingerprint="train",
        seed=seed,
    )


def _eval_inputs(
    benchmark: str, problems: Any, policy: Policy, completer: _Replay, grader: Grader
) -> eval_stage.EvalInputs:
    return eval_stage.EvalInputs(
        benchmark=benchmark,
        problems=problems,
        problems_fingerprint=benchmark,
        rules=GradingRules(),
        policy=policy,
        completer=completer,
        grader=grader,
        decoding={},
        seed=0,
    )


def _evaluated(
    store: Store, dev: problem_set.ProblemSet, policy: Policy, recording: Path, grader: Grader
) -> Artifact:
    config = load_config(CONFIGS / "demo.toml").eval
    inputs = _eval_inputs("dev", dev.problems, policy, _Replay.of(recording), grader)
    spec = eval_stage.spec(config, inputs)
    return store.build(spec, lambda out: eval_stage.run(config, inputs, out))[0]


def _gate_inputs(base: Artifact, incumbent: Artifact, candidate: Artifact) -> gate_stage.GateInputs:
    return gate_stage.GateInputs(base=base, incumbent=incumbent, candidate=candidate, guards={})


def changed(name: str, now: Mapping[str, str]) -> dict[str, str]:
    """What the files know under the same key, and is another now: key -> what to do."""
    before = known(name)
    same = (key for key in now if key in before and before[key] != now[key])
    told = {
        "outputs": "its output changed under the same VERSION: raise the stage's VERSION, then "
        "python -m tests.golden.golden",
        "identities": "stores that people have filled would be done again: mark a new setting "
        "`Later`, or if that is meant, python -m tests.golden.golden --orphan-stores",
    }
    return dict.fromkeys(same, told[name])


def _renew(name: str, now: Golden, *, force: bool) -> None:
    if (refused := changed(name, now)) and not force:
        sys.exit("\n".join(f"{key}: {why}" for key, why in refused.items()))
    text = json.dumps(now, indent=1, sort_keys=True) + "\n"
    (HERE / f"{name}.json").write_text(text)


def main() -> None:
    """Renew both files."""
    _renew("identities", identities(), force="--orphan-stores" in sys.argv)
    with tempfile.TemporaryDirectory() as folder:
        _renew("outputs", outputs(Path(folder)), force=False)


if __name__ == "__main__":
    main()
