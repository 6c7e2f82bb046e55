"""Every recipe on the sets that it names: the real ones, where they lie beside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.config import RunConfig, dump_config, load_config
from flows.preflight import preflight, problem_sets
from ratchet.problems.coverage import coverage_warnings
from ratchet.store.artifacts import Store
from tests.helpers.places import ROOT

RECIPES = sorted(ROOT.glob("configs/*.toml"))
FILES = {
    ("gsm8k", "train"): "gsm8k_train.parquet",
    ("gsm8k", "test"): "gsm8k_test.parquet",
    ("math", "train"): "math_train.parquet",
    ("math500", "test"): "math500.parquet",
}
FEW = 0.01
"""Share of a set that natural near-duplicates may be: 27 of 6,500 of MATH, 1 of 6,473 of GSM8K."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One for all recipes: what they have in common is graded once."""
    return Store(tmp_path_factory.mktemp("recipes"))


def on_real_sets(recipe: Path, data: Path) -> RunConfig:
    """The recipe with local files for its sets, and a small local model that fits any machine."""
    given = load_config(recipe)
    overrides = [f'model.path="{ROOT / "models" / "arithmetic-seed"}"', 'engine.dtype="float32"']
    places = {"train": "problems.train", "dev": "problems.dev", "test": "problems.test"}
    places |= {g.name: f"guards.{at}.problems" for at, g in enumerate(given.guards)}
    for name, source in given.sources().items():
        if source.kind != "arithmetic":
            overrides.append(f'{places[name]}.path="{data / FILES[source.kind, source.split]}"')
    return load_config(recipe, overrides)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_passes_preflight_on_its_real_sets(
    recipe: Path, shared_data: Path, store: Store
) -> None:
    config = on_real_sets(recipe, shared_data)
    preflight(dump_config(config), config.name, store)
    sets = problem_sets(config, store)
    lost = {name: each.overlap for name, each in sets.items() if each.overlap}
    assert all(overlap["shared"] <= FEW * overlap["of"] for overlap in lost.values())
    if config.problems.train.kind == "arithmetic":
        assert lost == {}
    assert coverage_warnings({name: each.problems for name, each in sets.items()}) == []
