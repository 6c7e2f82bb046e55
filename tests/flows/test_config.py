"""A run's config: all that is wrong with it at once, where the user wrote it, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from pydantic import BaseModel

from flows.config import RunConfig, dump_config, load_config, stored_config
from ratchet.config import parse_config, read_toml
from ratchet.config_errors import models_in
from ratchet.errors import InputError
from tests.helpers.places import CONFIGS

DEMO = CONFIGS / "demo.toml"


def faults(*settings: str) -> list[str]:
    """What is wrong with the demo's config where these are set."""
    with pytest.raises(InputError) as caught:
        load_config(DEMO, settings)
    first, *lines = str(caught.value).splitlines()
    assert first.endswith(f"has {len(lines)} error{'s' if len(lines) > 1 else ''}:")
    return [line.strip() for line in lines]


def test_faults_within_and_between_sections_are_told_at_once() -> None:
    told = faults(
        "iterations=0",
        "gate.alhpa=0.1",
        "sampler.temperature=0",
        "eval.params={topk=1}",
        "trainer.epochs=3",
        "trainer.batch_size=30",
        "trainer.device_batch_size=4",
        "trainer.lora={rank=128}",
        'filters=[{kind="format"},{kind="format"}]',
        'selection={kind="dpo",wrong_by="prm"}',
        'guards=[{name="dev",problems={kind="arithmetic",size=0}}]',
    )
    places = [line.partition(": ")[0] for line in told]
    assert sorted(places) == sorted(
        [
            "iterations",
            "gate.alhpa",
            "sampler",
            "eval.params",
            "trainer",
            "trainer",
            "trainer.lora.rank",
            "filters",
            "selection",
            "guards",
            "guards[0].problems.size",
        ]
    )


def test_a_check_is_not_run_on_a_setting_that_is_wrong_itself() -> None:
    assert faults('sampler.group_size="eight"', "sampler.temperature=0") == [
        'sampler.group_size: must be a whole number, not "eight"'
    ]


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (["trainer.lora.rank=65"], "trainer.lora.rank"),
        (
            ["trainer.per_iteration=[{},{lora={rank=65}}]"],
            "trainer.per_iteration[1].lora.rank",
        ),
        (
            ['trainer=[{kind="sft"},{kind="dpo",lora={rank=65}}]'],
            "trainer[1].lora.rank",
        ),
    ],
)
def test_an_adapter_that_the_engine_could_not_load_is_refused_before_it_is_trained(
    settings: list[str], place: str
) -> None:
    (told,) = faults(*settings)
    assert told.startswith(f"{place}: 65 is above engine.lora_rank = 64")
    load_config(DEMO, [*settings, "engine.lora_rank=128"])
    load_config(DEMO, [*settings, 'engine={kind="transformers"}'])


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (["trainer.per_iteration=[{lora={rank=8}},{lora={rank=4}}]"], "trainer.per_iteration[1]"),
        (
            ['trainer=[{kind="sft",lora={rank=8}},{kind="dpo",lora={rank=8,alpha=16}}]'],
            "trainer[1]",
        ),
    ],
)
def test_an_adapter_that_the_next_training_could_not_go_on_with_is_refused(
    settings: list[str], place: str
) -> None:
    assert faults(*settings)[0].startswith(f"{place}.lora: rank ")


def test_an_adapter_may_change_its_shape_where_nothing_goes_on_with_it() -> None:
    anew = 'trainer={kind="sft",start_from="base",'
    load_config(DEMO, [f"{anew}per_iteration=[{{lora={{rank=8}}}},{{lora={{rank=4}}}}]}}"])
    load_config(DEMO, ['trainer=[{kind="sft",lora={rank=8}},{kind="dpo"}]'])


def test_an_adapter_that_comes_in_a_later_iteration_is_known_from_the_start() -> None:
    assert not load_config(DEMO).trains_adapters
    assert load_config(DEMO, ["trainer.per_iteration=[{},{lora={rank=4}}]"]).trains_adapters


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (
            "problems.train.limit=3",
            'problems.train.limit: unknown key: kind "arithmetic" has none; it belongs to kind '
            '"file", "gsm8k", "hub", "math", "math500"',
        ),
        (
            'problems.test={kind="file",path="x",columns={id="n"}}',
            "problems.test.columns.id: unknown key; did you mean 'problem_id'?",
        ),
        ("trainer.learning_rate=-1", "trainer.learning_rate: must be above 0, not -1"),
        (
            'trainer=[{kind="sft",learning_rate="fast"}]',
            'trainer[0].learning_rate: must be a number, not "fast"',
        ),
        ("learning_rate=1", "learning_rate: unknown key; there is trainer.learning_rate"),
        (
            'engine.kind="vlm"',
            'engine.kind: no kind "vlm"; choose from "vllm", "transformers", "replay", "openai"; '
            'did you mean "vllm"?',
        ),
        (
            "problems.train={}",
            'problems.train.kind: missing; choose from "arithmetic", "file", "gsm8k", "hub", '
            '"math", "math500"',
        ),
        (
            'trainer.lora.target_modules="all"',
            'trainer.lora.target_modules: must be one of "all-linear", or a list, not "all"',
        ),
        ('selection="sft"', 'selection: must be a list, not "sft"'),
        ('filters=[{kind="custom",path="mine"}]', "filters[0].path: must be a module and a name"),
        ("sampler.temperature=inf", "sampler.temperature: must be a finite number, not inf"),
        ("sampler.temperature=nan", "sampler.temperature: must be a finite number, not nan"),
        ("sampler.group_size=1e12", "sampler.group_size: must be at most 100,000"),
        (f'name="{"x" * 300}"', "name: run name of 300 characters can't name a folder"),
        ('engine.args={hf_token=["a"],model="m"}', "engine.args: 'model' is set by model.path"),
    ],
)
def test_a_fault_is_told_by_the_users_own_words(setting: str, told: str) -> None:
    assert faults(setting)[0].startswith(told)


WRONG: list[Any] = ["x", "", -1, 0, 1.5, 1e12, 10**30, float("nan"), True, [], [[1]], {}, {"a": 1}]
FOREIGN = (
    "pydantic",
    "Input should",
    "Extra inputs",
    "validation error",
    "Value error",
    "of another kind",
)


def settings_of(model: type[BaseModel]) -> Iterator[tuple[tuple[str, ...], str, list[str]]]:
    """The tables that a config may have: keys, the kind where there are several, the settings."""
    yield (), "", list(model.model_fields)
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            kind = inner.model_fields["kind"].default if "kind" in inner.model_fields else ""
            for keys, deeper, settings in settings_of(inner):
                yield (name, *keys), deeper if keys else kind, settings


@pytest.mark.parametrize(
    ("keys", "kind", "settings"),
    list(settings_of(RunConfig)),
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_whatever_a_setting_is_given_it_is_taken_or_refused_in_plain_words(
    keys: tuple[str, ...], kind: str, settings: list[str]
) -> None:
    tables = read_toml(DEMO)
    for setting, value in product(settings, WRONG):
        table = {"kind": kind, setting: value} if kind else {setting: value}
        told = refusal(placed(tables, keys, table))
        assert not [word for word in FOREIGN if word in told]


def placed(tables: Any, keys: tuple[str, ...], table: dict[str, Any]) -> Any:
    """The tables with `table` added to what is at `keys`."""
    if not keys:
        return {**tables, **table}
    inner = tables.get(keys[0], {})
    return {**tables, keys[0]: placed(inner if isinstance(inner, dict) else {}, keys[1:], table)}


def refusal(tables: Any) -> str:
    try:
        parse_config(RunConfig, tables, "the config")
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("test", "kind"), [("auto", "paired"), ("mcnemar", "mcnemar")])
def test_a_run_from_before_gates_had_kinds_is_still_understood(test: str, kind: str) -> None:
    old = dump_config(load_config(DEMO)) | {"gate": {"test": test, "alpha": 0.01}}
    gate = stored_config(old, "old").gate
    assert (gate.kind, gate.alpha) == (kind, 0.01)
