"""`ratchet plan`: it refuses what a run refuses, and forecasts by what is like the config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.commands.plan import plan
from flows.config import RunConfig, dump_config, load_config
from flows.preflight import preflight
from ratchet.errors import InputError
from ratchet.policy import base_policy
from ratchet.store.artifacts import Store
from ratchet.store.identity import ArtifactSpec
from ratchet.store.ledger import Run
from tests.helpers.world import write_config, write_recording

Configure = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Configure:
    folder = tmp_path_factory.mktemp("world")
    path = write_config(folder / "world.toml", write_recording(folder / "recording.jsonl"))
    return lambda *settings: load_config(path, settings)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One for all, so that the problem sets are read once."""
    return Store(tmp_path_factory.mktemp("store"))


NEEDS_A_GPU = "needs a GPU, and none is visible"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (['engine={kind="transformers",device="cuda"}'], f'engine.device = "cuda" {NEEDS_A_GPU}'),
        (['engine={kind="transformers",device="cuda:1"}'], f'device = "cuda:1" {NEEDS_A_GPU}'),
        (["trainer.args={adam=1}"], "trainer.args: 'adam' is no argument of SFTConfig"),
        (['trainer.optimizer="adamw"'], "'adamw' is no optimizer"),
        (["trainer.liger=true"], f"trainer.liger = true {NEEDS_A_GPU}"),
        (["trainer.per_iteration=[{},{liger=true}]"], f"trainer.liger = true {NEEDS_A_GPU}"),
        (['trainer.report_to=["tensorbord"]'], 'names "tensorbord", which transformers does not'),
        (['trainer.report_to=["comet_ml"]'], "pip install comet_ml"),
        (['engine.path="none.jsonl"'], "engine.path 'none.jsonl' does not exist (looked for /"),
        (['model.path="./none"'], "none, as relative paths count from the folder that ratchet is"),
        (['filters=[{kind="orm"},{kind="custom",path="none_here:X"}]'], "none_here:X can't be"),
        (
            [
                'trainer={kind="grpo",per_iteration=[{rewards=[{kind="custom",name="own",'
                'path="none_here:x"}]}]}'
            ],
            "reward 'own': none_here:x can't be loaded",
        ),
        (['problems.dev={kind="file",path="none.jsonl"}'], "no file or folder /"),
        (['problems.dev.split="train"'], "overlap"),
    ],
)
def test_what_a_run_would_be_refused_for_is_told_by_plan(
    config: Configure,
    store: Store,
    settings: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    bad = config(*settings)
    with pytest.raises(InputError) as by_plan:
        plan(bad, store, "bad")
    with pytest.raises(InputError) as by_run:
        preflight(dump_config(bad), "bad", store)
    assert str(by_plan.value) == str(by_run.value)
    assert told in str(by_plan.value)


def test_all_that_stands_in_the_way_is_told_at_once(config: Configure, store: Store) -> None:
    bad = config('model.path="./none"', 'engine.path="none.jsonl"', "trainer.report_to=['none']")
    with pytest.raises(InputError, match=r"(?s)4 things .*a/b.*\./none.*none\.jsonl.*report_to"):
        plan(bad, store, "a/b")


def test_a_name_that_is_taken_by_another_config_is_told_by_plan(
    config: Configure, store: Store
) -> None:
    Run.create(store, "taken", dump_config(config("seed=1")))
    with pytest.raises(InputError, match="run 'taken' exists with another config"):
        plan(config(), store, "taken")
    assert plan(config("seed=1"), store, "taken")["name"] == "taken"


def test_a_plan_without_a_store_leaves_none(
    config: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan(config(), None, "new")
    assert list(tmp_path.iterdir()) == []


def test_what_is_fetched_from_the_hub_is_not_fetched_for_a_plan(
    config: Configure, store: Store
) -> None:
    planned = plan(config('problems.test={kind="gsm8k",split="test"}'), store, "new")
    assert planned["problems"]["test"]["note"] == "fetched from the hub"


def record(
    store: Store, stage: str, inputs: dict[str, str], metrics: dict[str, Any], **settings: Any
) -> str:
    """An artifact with these in its manifest; its fingerprint."""
    spec = ArtifactSpec(stage=stage, version=1, settings=settings, inputs=inputs)
    artifact, _ = store.build(spec, lambda _: metrics)
    return artifact.fingerprint


def sample_of(store: Store, policy: str, kind: str, tokens: int, seconds: float) -> None:
    metrics = {
        "completions": 100,
        "tokens": tokens,
        "work_seconds": seconds,
        "tokens_per_second": tokens / seconds,
    }
    record(store, "sample", {"policy": policy}, metrics, engine={"kind": kind}, of=tokens)


def test_a_forecast_is_by_the_same_model_and_engine_as_a_ratio_of_sums(
    config: Configure, tmp_path: Path
) -> None:
    store, own = Store(tmp_path), config()
    base = base_policy(own.model).fingerprint
    trained = record(store, "train", {"start": base}, {"made": 1})
    sample_of(store, "another model", "replay", 7_000_000, 1.0)
    sample_of(store, base, "vllm", 9_000_000, 1.0)
    assert plan(own, store, "new")["forecast"] is None
    sample_of(store, base, "replay", 1_000, 1.0)
    sample_of(store, trained, "replay", 9_000, 99.0)
    completions = 24 * own.sampler.group_size
    assert plan(own, store, "new")["forecast"] == {
        "sampled_tokens": completions * 50,
        "sample_seconds": round(completions * 50 / 100),
        "based_on_sample_artifacts": 2,
    }
