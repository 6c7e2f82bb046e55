"""Chains of trainings and GRPO in whole runs; the engine replays, all else is real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.config import load_config
from ratchet.errors import InputError
from tests.helpers.world import GROUP_SIZE, SIZES, World

CHAIN = """
[[selection]]
kind = "sft"
max_per_problem = 1
[[selection]]
kind = "dpo"
pairs_per_problem = 2
[[trainer]]
kind = "sft"
max_steps = 2
batch_size = 4
learning_rate = 1e-4
early_stopping = { every_steps = 1 }
[[trainer]]
kind = "dpo"
max_steps = 2
batch_size = 4
learning_rate = 1e-4
"""
GRPO = """
[selection]
kind = "grpo"
max_rows = 8
[trainer]
kind = "grpo"
max_steps = 1
batch_size = 8
group_size = 4
max_tokens = 32
learning_rate = 1e-4
"""


def with_trainer(world: World, name: str, tables: str) -> Path:
    """The world's config of one iteration, its trainer replaced."""
    text = world.config.read_text().replace("iterations = 2", "iterations = 1")
    head, rest = text.split("[trainer]")
    tail = rest[rest.index("[eval]") :]
    path = world.folder / f"{name}.toml"
    path.write_text(f"{head}{tables}\n{tail}".replace('name = "world"', f'name = "{name}"'))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, prefect_url: str) -> World:
    return World(tmp_path_factory.mktemp("chain"), prefect_url)


def run(world: World, name: str, tables: str) -> dict[str, Any]:
    done = world.ratchet("run", str(with_trainer(world, name, tables)), "--json")
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_sft_then_dpo_are_two_artifacts_and_the_second_starts_from_the_first(world: World) -> None:
    (iteration,) = run(world, "chain", CHAIN)["iterations"]
    assert iteration["promoted"] is True
    assert {"select", "train", "select/dpo", "train/dpo"} <= set(iteration["artifacts"])
    sft, dpo = iteration["trainings"]
    assert (sft["kind"], sft["rows"], dpo["kind"]) == ("sft", SIZES["train"], "dpo")
    assert dpo["groups"] == {"paired": SIZES["train"]}
    assert sum(dpo["fates"].values()) == SIZES["train"] * GROUP_SIZE
    store = world.folder / "store" / "artifacts"
    manifests = [
        json.loads((store / iteration["artifacts"][name] / "manifest.json").read_text())
        for name in ("train", "train/dpo")
    ]
    assert manifests[1]["inputs"]["start"] == manifests[0]["fingerprint"]
    assert (sft["steps"], dpo["steps"]) == (2, 2)
    assert sft["best_step"] in (1, 2)
    assert dpo["best_step"] is None
    told = world.ratchet("show", "chain").stdout
    assert "dpo rows" in told
    assert f"sft: weights of step {sft['best_step']}" in told


def test_grpo_keeps_each_rewards_value(world: World) -> None:
    (iteration,) = run(world, "grpo", GRPO)["iterations"]
    store = world.folder / "store" / "artifacts" / iteration["artifacts"]["train"]
    table = pq.read_table(next(store.rglob("rewards.parquet")))
    assert table.num_rows == 8
    assert {"correct", "reward", "advantage"} <= set(table.column_names)
    assert iteration["trainings"][0]["groups"] == {"in_band": 8, "over_cap": SIZES["train"] - 8}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (CHAIN.replace('kind = "dpo"\npairs', 'kind = "grpo"\n# pairs'), "feeds no trainer"),
        (CHAIN.replace('kind = "dpo"\nmax', 'kind = "dpo"\nstart_from = "base"\nmax'), "base"),
        (CHAIN + '[[selection]]\nkind = "sft"\n', "two selections of one kind"),
    ],
)
def test_chains_that_do_not_fit_are_refused(world: World, tables: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(with_trainer(world, "refused", tables))
