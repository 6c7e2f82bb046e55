import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ratchet.generation.engine import (
    EngineDied,
    Output,
    Request,
    RequestSource,
    SampledGroup,
    Sampling,
)
from ratchet.generation.prompts import PromptConfig
from ratchet.generation.strategy import ScoredGroup
from ratchet.policy import Policy
from ratchet.progress import Step
from ratchet.records import Completion, Problem
from ratchet.store.artifacts import Artifact, Store
from ratchet.verifier.grades import Grade
from samplers import stage as sample_stage
from samplers.config import DoSampleConfig, EngineConfig, ReplayEngineConfig
from samplers.serving.client import EngineClient

CONFIG = DoSampleConfig(group_size=2, shard_size=8, max_tokens=8)


def make_problems(count: int) -> list[Problem]:
    return [
        Problem(problem_id=f"p{i}", problem=f"{i} + {i} = ?", reference_answer=str(2 * i))
        for i in range(count)
    ]


class Recorder:
    """Passes every call to a real client, and keeps which problems were asked for."""

    def __init__(self, client: EngineClient) -> None:
        self.client = client
        self.asked: list[str] = []
        self.seeds: list[int] = []

    def generate(
        self, policy: Policy, sampling: Sampling, requests: RequestSource
    ) -> Iterator[SampledGroup]:
        self.seeds.append(sampling.seed)
        self._requests = requests
        return self.client.generate(policy, sampling, self)

    def take(self) -> Request | None:
        if request := self._requests.take():
            self.asked.append(request.problem_id)
        return request

    def release_device(self) -> None:
        self.client.release_device()


def make_inputs(
    client: EngineClient, engine: EngineConfig, problems: list[Problem], policy: Policy
) -> sample_stage.SampleInputs:
    return sample_stage.SampleInputs(
        problems=problems,
        problems_fingerprint="problems",
        policy=policy,
        completer=Recorder(client),
        prompt=PromptConfig(),
        engine=engine,
        iteration=0,
        seed=0,
    )


def sample(
    store: Store, inputs: sample_stage.SampleInputs, config: DoSampleConfig = CONFIG
) -> Artifact:
    spec = sample_stage.spec(config, inputs)
    artifact, _ = store.build(spec, lambda out: sample_stage.run(config, inputs, out))
    return artifact


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[sample_stage.SampleInputs]:
    problems = make_problems(10)
    rows: list[dict[str, Any]] = [
        {
            "problem_id": p.problem_id,
            "attempt": attempt,
            "completion": f"It is {attempt}",
            "num_tokens": 3,
            "num_prompt_tokens": 7,
            "finish_reason": ["stop", "length"][attempt],
        }
        for p in problems[:9]
        for attempt in range(2)
    ]
    path = tmp_path / "recorded.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    engine = ReplayEngineConfig(path=str(path))
    with EngineClient(engine, PromptConfig(), tmp_path / "engine.log", in_flight=4) as client:
        policy = Policy(fingerprint="base", model="none")
        yield make_inputs(client, engine, problems, policy)


def test_rows_are_in_the_problems_order_and_everything_is_counted(
    tmp_path: Path, replay: sample_stage.SampleInputs
) -> None:
    steps: list[Step] = []
    groups: list[str] = []

    class IsOne:
        key = "one"

        def score(self, problem: Problem, outputs: Sequence[Output]) -> list[Grade | None]:
            assert problem in replay.problems
            right = [output.completion == "It is 1" for output in outputs]
            return [Grade("", is_right, "equal_string") for is_right in right]

    inputs = replace(
        replay,
        scorer=IsOne(),
        on_group=lambda group: groups.append(group.request.problem_id),
        progress=steps.append,
    )
    artifact = sample(Store(tmp_path / "store"), inputs)
    rows = list(artifact.rows(Completion))
    assert [(r.problem_id, r.attempt) for r in rows] == [
        (f"p{i}", attempt) for i in range(10) for attempt in range(2)
    ]
    assert rows[0].sampler == "do_sample"
    assert rows[0].policy == "base"
    assert rows[-1].error == "not_recorded"
    counted = {k: v for k, v in artifact.metrics.items() if "second" not in k}
    assert counted == {
        "problems": 10,
        "completions": 20,
        "tokens": 54,
        "prompt_tokens": 63,
        "finish_reasons": {"error": 2, "length": 9, "stop": 9},
        "errors": {"not_recorded": 2},
    }
    assert sorted(groups) == sorted(p.problem_id for p in inputs.problems)
    assert steps[-1] == Step(10, 10, 54, 9, 20)
    assert len(artifact.part_files()) == 3


def test_nothing_is_started_for_a_stage_whose_shards_are_all_there(
    tmp_path: Path, replay: sample_stage.SampleInputs
) -> None:
    store = Store(tmp_path / "store")
    artifact = sample(store, replay)
    metrics = artifact.metrics
    parts = [p.stat().st_mtime_ns for p in artifact.part_files()]
    spec = sample_stage.spec(CONFIG, replay)
    (artifact.path / "manifest.json").unlink()
    for part in artifact.manifest.parts:
        sidecar = artifact.path / f"{part.file}.sha256.json"
        keys = {"file": part.file, "sha256": part.sha256, "size": part.size, "rows": part.rows}
        sidecar.write_text(json.dumps(keys))
    assert isinstance(replay.completer, Recorder)
    replay.completer.asked.clear()
    again, reused = Store(tmp_path / "store").build(
        spec, lambda out: sample_stage.run(CONFIG, replay, out)
    )
    assert not reused
    assert replay.completer.asked == []
    assert [p.stat().st_mtime_ns for p in again.part_files()] == parts
    assert again.metrics["tokens"] == metrics["tokens"]
    assert again.metrics["tokens_per_second"] is None


def test_identity_follows_what_can_change_a_completion(replay: sample_stage.SampleInputs) -> None:
    base = sample_stage.spec(CONFIG, replay).identity
    assert sample_stage.spec(CONFIG, replay).redone(0).identity == base
    assert sample_stage.spec(CONFIG, replay).redone(1).identity != base
    policy = replace(replay.policy, fingerprint="other")
    prompt = PromptConfig(system="Think.")
    for changed in (
        replace(replay, seed=1),
        replace(replay, iteration=1),
        replace(replay, policy=policy),
        replace(replay, prompt=prompt),
        replace(replay, problems_fingerprint="others"),
    ):
        assert sample_stage.spec(CONFIG, changed).identity != base
    warmer = CONFIG.model_copy(update={"temperature": 0.5})
    assert sample_stage.spec(warmer, replay).identity != base


@pytest.mark.parametrize("engine", ["transformers", pytest.param("vllm", marks=pytest.mark.slow)])
def test_no_finished_shard_is_sampled_again_after_the_engine_was_killed(
    tmp_path: Path,
    engine: str,
    request: pytest.FixtureRequest,
    vllm_config: EngineConfig,
    policies: dict[str, Policy],
) -> None:
    import os
    import signal

    client: EngineClient = request.getfixturevalue(f"{engine}_client")
    problems = make_problems(40)
    inputs = make_inputs(client, vllm_config, problems, policies["one"])
    recorder = inputs.completer
    assert isinstance(recorder, Recorder)
    config = DoSampleConfig(group_size=4, shard_size=32, max_tokens=16)
    store = Store(tmp_path / "store")
    kill_at = 20

    def kill(_: ScoredGroup) -> None:
        nonlocal kill_at
        kill_at -= 1
        if kill_at == 0 and client.pid:
            os.kill(client.pid, signal.SIGKILL)

    with pytest.raises(EngineDied, match="SIGKILL"):
        sample(store, replace(inputs, on_group=kill), config)
    folder = store.path_of(sample_stage.spec(config, inputs).identity)
    finished = {int(p.stem.split("-")[1]) for p in folder.glob("part-*.parquet")}
    assert finished
    assert len(finished) < 5
    before = recorder.asked.copy()
    recorder.asked.clear()
    artifact = sample(store, inputs, config)
    kept = {f"p{i}" for shard in finished for i in range(8 * shard, 8 * shard + 8)}
    assert len(before) > 8, "requests cross the shards' borders"
    assert set(recorder.asked) == {p.problem_id for p in problems} - kept
    assert len(recorder.asked) == len(set(recorder.asked))
    assert recorder.seeds[0] != recorder.seeds[1], "the rest is drawn anew, not as the first was"
    rows = list(artifact.rows(Completion))
    assert [(r.problem_id, r.attempt) for r in rows] == [
        (p.problem_id, attempt) for p in problems for attempt in range(4)
    ]
    assert artifact.metrics["tokens"] == sum(r.num_tokens for r in rows)
