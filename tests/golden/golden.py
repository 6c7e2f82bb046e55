"""What stores that people have filled depend on: identities of stages, and small outputs of them.

`python -m tests.golden.golden` renews the two JSON files beside this one. It only adds: an output
that changed under the same VERSION, or an identity that changed without a reason given by
`--orphan-stores`, is refused.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import TypeAdapter
from transformers import AutoTokenizer

from evals import stage as eval_stage
from evals.gates import stage as gate_stage
from filters import stage as filter_stage
from filters.selection import stage as select_stage
from filters.selection.config import SelectionConfig
from flows.config import RunConfig, load_config
from ratchet.generation.engine import RequestSource, SampledGroup, Sampling
from ratchet.generation.prompts import render_prompt
from ratchet.policy import Policy
from ratchet.problems import disjoint
from ratchet.problems import sets as problem_set
from ratchet.problems.config import ArithmeticSource
from ratchet.problems.grading import GradingRules
from ratchet.problems.load import LOADER_VERSION
from ratchet.records import Completion, DpoRow, EvalRow, Problem, SftRow, Verdict
from ratchet.store.artifacts import Artifact, Make, Manifest, Store, Workspace
from ratchet.store.identity import ArtifactSpec, digest
from ratchet.texts.contamination import MEASURE_VERSION
from ratchet.verifier.grader import GRADER_VERSION, Grader
from samplers import stage as sample_stage
from samplers.config import DoSampleConfig, ReplayEngineConfig
from samplers.engines.replay import ReplayEngine
from tests.helpers.places import CONFIGS, SEED_MODEL
from trainers import stage as train_stage
from trainers.data.batches import row_order
from trainers.dpo.rows import encode_pair
from trainers.sft.rows import encode_row

HERE = Path(__file__).resolve().parent
RECIPES = ("demo", "demo-filters", "demo-sft-dpo", "demo-grpo")
BASE = Policy(fingerprint="base", model="base")
DEMO = load_config(CONFIGS / "demo.toml")
FILTERS = load_config(CONFIGS / "demo-filters.toml").filters
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
                found[_key(f"{recipe}/{name}", spec)] = spec.identity
    return found


def _key(name: str, spec: ArtifactSpec) -> str:
    """The name with the VERSION of each part of the code that answers for what the stage makes."""
    key = f"{name}@{spec.version}"
    if "grader" in spec.settings.get("rules", {}):
        key += f"+grader{GRADER_VERSION}"
    return f"{key}+loader{LOADER_VERSION}" if spec.stage == "problems" else key


def _specs(config: RunConfig, grader: Grader) -> Iterator[tuple[str, ArtifactSpec]]:
    for name, source in config.sources().items():
        yield f"problems/{name}", problem_set.spec(source)
    rules = GradingRules.of(config.problems.train)
    completions, verdicts, rows = (_stand_in(name) for name in ("sample", "filter", "select"))
    yield "sample", sample_stage.spec(config.sampler, _sample_inputs(config, ()))
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
        yield f"select/{training.label}", select_stage.spec(training.selection, selecting)
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
        self, policy: Policy, sampling: Sampling, requests: RequestSource
    ) -> Iterator[SampledGroup]:
        assert self._engine
        self._engine.load(policy)
        for request in iter(requests.take, None):
            self._engine.add(request)
            yield from self._engine.step()

    def release_device(self) -> None:
        """Nothing is held."""


def outputs(folder: Path) -> Golden:
    """Stage and VERSIONs -> digest of what it makes of the same few rows.

    Each stage gets rows that are written down here, and not what the stage before made of them: so
    a stage's output changes by its own code alone, and its own VERSION answers for it.
    """
    store, found = Store(folder / "store"), dict(_tokenized())
    recording = _record(folder / "recording.jsonl")
    completions = _given(store, "sample", _completions(), Completion)
    verdicts = _given(store, "filter", _verdicts(), Verdict)

    def made(name: str, spec: ArtifactSpec, run: Make, *, metrics: bool = False) -> None:
        artifact, _ = store.build(spec, run)
        told = artifact.metrics if metrics else {}
        found[_key(name, spec)] = digest([_rows_of(artifact), told])

    source = ArithmeticSource(split="train", size=12, levels=(1, 2))
    made("problems", problem_set.spec(source), lambda out: problem_set.run(source, out))
    found |= _overlapping(store)
    sampling, asked = _sampling(recording)
    made(
        "sample",
        sample_stage.spec(sampling, asked),
        lambda out: sample_stage.run(sampling, asked, out),
    )
    with Grader(workers=1) as grader:
        judging = _filter_inputs(completions, grader)
        made(
            "filter",
            filter_stage.spec(FILTERS, judging),
            lambda out: filter_stage.run(FILTERS, judging, out),
        )
        answering = _eval_inputs("dev", PROBLEMS, CANDIDATE, _Replay.of(recording), grader)
        made(
            "eval",
            eval_stage.spec(DEMO.eval, answering),
            lambda out: eval_stage.run(DEMO.eval, answering, out),
        )
    for kind in ("sft", "dpo", "grpo"):
        chosen = TypeAdapter(SelectionConfig).validate_python({"kind": kind})
        selecting = _select_inputs(completions, verdicts, FILTERS, _by_id(), 0)
        made(
            f"select/{kind}",
            select_stage.spec(chosen, selecting),
            lambda out, c=chosen, i=selecting: select_stage.run(c, i, out),
        )
    before, after = (_given(store, name, _graded(every), EvalRow) for name, every in GRADED.items())
    gating = _gate_inputs(before, before, after)
    made(
        "gate",
        gate_stage.spec(DEMO.gate, gating),
        lambda out: gate_stage.run(DEMO.gate, gating, out),
        metrics=True,
    )
    return found


def _rows_of(artifact: Artifact) -> list[Any]:
    return [row for file in artifact.part_files() for row in pq.read_table(file).to_pylist()]


def _overlapping(store: Store) -> Golden:
    """What sets share: the same text, other words, other numbers; and what is left of one."""
    texts = {"train": PROBLEMS, "dev": [*PROBLEMS[:2], _problem(20)], "test": [_problem(30)]}
    sets = {
        name: problem_set.ProblemSet(
            name=name,
            artifact=_given(store, f"problems-{name}", problems, Problem),
            problems=tuple(problems),
            rules=GradingRules(),
        )
        for name, problems in texts.items()
    }
    train = disjoint.keep_apart(store, sets, disjoint.OverlapRules(max_dropped=0.5))["train"]
    left = [_rows_of(train.artifact), train.artifact.metrics]
    versions = f"{disjoint.VERSION}+overlap{disjoint._OVERLAP_VERSION}+measure{MEASURE_VERSION}"
    return {f"disjoint@{versions}": digest(left)}


def _tokenized() -> Iterator[tuple[str, str]]:
    """What trainings learn from: token ids, and their order. Weights differ between machines."""
    tokenizer = AutoTokenizer.from_pretrained(SEED_MODEL)
    prompt = render_prompt(tokenizer, DEMO.prompt, PROBLEMS[0].problem)
    sft = [
        SftRow(problem_id=c.problem_id, attempt=c.attempt, prompt=prompt, completion=c.completion)
        for c in _completions()
    ]
    order = row_order(DEMO.trainer[0], [len(row.completion) for row in sft], 0)
    examples = [asdict(encode_row(tokenizer, row)) for row in sft]
    version = train_stage.VERSIONS["sft"]
    yield f"train/sft/rows@{version}", digest([examples, order])
    pairs = [
        DpoRow(
            problem_id=right.problem_id,
            chosen_attempt=right.attempt,
            rejected_attempt=wrong.attempt,
            prompt=prompt,
            chosen=right.completion,
            rejected=wrong.completion,
        )
        for right, wrong in zip(sft_at(0), sft_at(2), strict=True)
    ]
    version = train_stage.VERSIONS["dpo"]
    yield f"train/dpo/rows@{version}", digest([asdict(encode_pair(tokenizer, p)) for p in pairs])


def sft_at(attempt: int) -> list[Completion]:
    """Every problem's completion of that attempt."""
    return [completion for completion in _completions() if completion.attempt == attempt]


def _problem(number: int) -> Problem:
    """Small sums in words; an ID and a text of its own for each number."""
    total = 2 * number + 3
    return Problem(
        problem_id=f"p{number}",
        problem=f"Ada has {number} red pens and buys {number + 3} blue ones. How many is that?",
        reference_answer=str(total),
        solution=f"{number} + {number + 3} = {total}. So it is \\boxed{{{total}}}.",
        level=1 + number % 2,
    )


PROBLEMS = [_problem(number) for number in range(1, 13)]


def _by_id() -> dict[str, Problem]:
    return {problem.problem_id: problem for problem in PROBLEMS}


def _given(store: Store, name: str, rows: Sequence[Any], row_type: type[Any]) -> Artifact:
    """Rows as the artifact of a stage that comes before the one that is looked at."""

    def make(out: Workspace) -> dict[str, Any]:
        out.write_part(0, rows, row_type)
        return {}

    spec = ArtifactSpec(stage="given", version=0, settings={"name": name})
    return store.build(spec, make)[0]


def _texts(problem: Problem) -> list[str]:
    """Right, the same in other words, wrong by its answer, hopeless, and cut."""
    right = problem.solution or ""
    return [right, f"So: {right}", "It is \\boxed{-1}.", "no idea", right[: len(right) // 2]]


def _completions() -> list[Completion]:
    return [
        Completion(
            problem_id=problem.problem_id,
            iteration=0,
            attempt=attempt,
            prompt="Q",
            completion=text,
            finish_reason="length" if attempt == _CUT else "stop",
            num_prompt_tokens=1,
            num_tokens=len(text.split()),
            logprob=None,
            policy="base",
            sampler="do_sample",
            temperature=1.0,
        )
        for problem in PROBLEMS
        for attempt, text in enumerate(_texts(problem))
    ]


_CUT = 4


def _verdicts() -> list[Verdict]:
    """The first two attempts of a group are accepted; of every third group none is."""
    return [
        Verdict(
            problem_id=problem.problem_id,
            attempt=attempt,
            filter=rule.label,
            accepted=at % 3 > 0 and attempt < 2,
            reason="given",
            reward=float(attempt < 2),
        )
        for at, problem in enumerate(PROBLEMS)
        for rule in FILTERS
        for attempt in range(_CUT + 1)
    ]


GRADED = {"before": 4, "after": 1}
"""The incumbent's and the candidate's evaluation: every so many problems are solved."""


def _graded(every: int) -> list[EvalRow]:
    return [
        EvalRow(
            benchmark="dev",
            problem_id=problem.problem_id,
            attempt=0,
            completion=problem.solution or "",
            answer=problem.reference_answer if at % every == 0 else "-1",
            correct=at % every == 0,
            reason="equal_string" if at % every == 0 else "different",
            finish_reason="stop",
            num_tokens=5,
            level=problem.level,
        )
        for at, problem in enumerate(PROBLEMS)
    ]


def _record(path: Path) -> Path:
    """The completions as a recording."""
    rows = [
        _row(c.problem_id, c.attempt, c.completion, finish_reason=c.finish_reason)
        for c in _completions()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _row(problem_id: str, attempt: int, text: str, **more: Any) -> dict[str, Any]:
    size = len(text.split())
    row = {"problem_id": problem_id, "attempt": attempt, "completion": text, "num_tokens": size}
    return {**row, **more}


def _sample_inputs(
    config: RunConfig, problems: Any, completer: _Replay | None = None
) -> sample_stage.SampleInputs:
    return sample_stage.SampleInputs(
        problems=problems,
        problems_fingerprint="train",
        policy=BASE,
        completer=completer or _Replay.of(None),
        prompt=config.prompt,
        engine=config.engine,
        iteration=0,
        seed=config.seed,
    )


def _sampling(recording: Path) -> tuple[DoSampleConfig, sample_stage.SampleInputs]:
    config = DoSampleConfig(group_size=_CUT + 1, shard_size=20, max_tokens=64)
    return config, _sample_inputs(DEMO, PROBLEMS, _Replay.of(recording))


def _filter_inputs(completions: Artifact, grader: Grader) -> filter_stage.FilterInputs:
    return filter_stage.FilterInputs(
        completions=completions,
        problems=_by_id(),
        problems_fingerprint="train",
        rules=GradingRules(),
        grader=grader,
    )


def _select_inputs(
    completions: Artifact, verdicts: Artifact, filters: Any, problems: Mapping[str, Any], seed: int
) -> select_stage.SelectInputs:
    return select_stage.SelectInputs(
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


def _gate_inputs(base: Artifact, incumbent: Artifact, candidate: Artifact) -> gate_stage.GateInputs:
    return gate_stage.GateInputs(
        evaluation=DEMO.eval,
        looks=(1,),
        level=0.01,
        base=base,
        incumbent=(incumbent,),
        candidate=(candidate,),
    )


def changed(name: str, now: Mapping[str, str]) -> dict[str, str]:
    """What the files know under the same key, and is another now: key -> what to do."""
    before = known(name)
    same = (key for key in now if key in before and before[key] != now[key])
    told = {
        "outputs": "its output changed under the same VERSION: raise the stage's VERSION (or that "
        "of the grader or loader, named in the key), then python -m tests.golden.golden",
        "identities": "stores that people have filled would be done again: mark a new setting "
        "`Later`, or if that is meant, python -m tests.golden.golden --orphan-stores",
    }
    return dict.fromkeys(same, told[name])


def renew(name: str, now: Golden, *, force: bool = False) -> None:
    """Write one of the files, unless something changed under a key that stayed."""
    if (refused := changed(name, now)) and not force:
        sys.exit("\n".join(f"{key}: {why}" for key, why in refused.items()))
    text = json.dumps(now, indent=1, sort_keys=True) + "\n"
    (HERE / f"{name}.json").write_text(text)


def main() -> None:
    """Renew both files."""
    renew("identities", identities(), force="--orphan-stores" in sys.argv)
    with tempfile.TemporaryDirectory() as folder:
        renew("outputs", outputs(Path(folder)))


if __name__ == "__main__":
    main()
