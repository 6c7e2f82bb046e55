from pathlib import Path

from flows.config import load_config
from flows.engine_check import check_engine
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import Policy
from ratchet.problems.arithmetic import generate
from ratchet.records import Completion
from ratchet.store.artifacts import Store
from samplers import stage
from samplers.serving.client import EngineClient
from tests.helpers.places import CONFIGS

ENGINE = 'engine={kind="echo", suffix="!"}'


def test_the_sample_stage_draws_from_its_process(tmp_path: Path) -> None:
    run = load_config(CONFIGS / "demo.toml", [ENGINE, "sampler.group_size=2"])
    check_engine(run.engine)
    problems = generate("train", 5, (1,), 0)
    with EngineClient(run.engine, PromptConfig(), tmp_path / "engine.log") as client:
        inputs = stage.SampleInputs(
            problems=problems,
            problems_fingerprint="f",
            policy=Policy(fingerprint="base", model="none"),
            completer=client,
            prompt=PromptConfig(),
            engine=run.engine,
            iteration=0,
            seed=0,
        )
        spec = stage.spec(run.sampler, inputs)
        made, _ = Store(tmp_path).build(spec, lambda out: stage.run(run.sampler, inputs, out))
    texts = [row.completion for row in made.rows(Completion)]
    assert texts == [f"{problem.problem}!" for problem in problems for _ in range(2)]
    assert spec.settings["engine"]["suffix"] == "!"
