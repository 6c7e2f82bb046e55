"""The reference of the config: complete, true to the classes, and the page of docs/ its copy."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from flows.config import RunConfig, load_config
from flows.reference.find import find_sections
from flows.reference.pages import as_markdown
from flows.reference.sections import Setting, describe
from ratchet.config import Config, NotIdentity, of_form
from ratchet.config_errors import models_in
from ratchet.errors import InputError
from tests.helpers.places import CONFIGS, ROOT

EVERYTHING = describe(RunConfig)
PAGE = ROOT / "docs" / "config.md"


def ratchet(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows", "config", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def names(asked: str) -> list[str]:
    return [section.name for section in find_sections(EVERYTHING, asked)]


def setting(section: str, name: str) -> Setting:
    [found] = find_sections(EVERYTHING, section)
    return {each.name: each for each in found.settings}[name]


def config_classes(model: type[BaseModel]) -> set[type[BaseModel]]:
    inner = {each for f in model.model_fields.values() for each in models_in(f.annotation)}
    return {model}.union(*map(config_classes, inner))


def test_every_field_says_what_it_does() -> None:
    silent = [
        f"{model.__name__}.{name}"
        for model in config_classes(RunConfig)
        for name, field in model.model_fields.items()
        if not field.description and name != "kind"
    ]
    assert silent == [], "write a string literal below each of these fields"


def test_every_config_class_says_what_it_is() -> None:
    assert [model.__name__ for model in config_classes(RunConfig) if not model.__doc__] == []


def test_every_field_of_every_class_is_described_once() -> None:
    fields = {
        (name, field.description)
        for model in config_classes(RunConfig)
        for name, field in model.model_fields.items()
        if field.description
    }
    told = [(each.name, each.text) for section in EVERYTHING for each in section.own]
    assert {name for name, _ in told} == {name for name, _ in fields}
    assert {text for _, text in told} == {" ".join(str(text).split()) for _, text in fields}
    assert len({section.name for section in EVERYTHING}) == len(EVERYTHING)


def test_the_page_is_what_the_code_says() -> None:
    renew = "docs/config.md is old; renew it: ratchet config --markdown > docs/config.md"
    assert PAGE.read_text(encoding="utf-8") == as_markdown(EVERYTHING), renew


def test_the_pages_links_lead_to_its_headings() -> None:
    page = PAGE.read_text(encoding="utf-8")
    headings = {
        line.strip("# `").replace(".", "") for line in page.splitlines() if line.startswith("##")
    }
    linked = {part.partition(")")[0] for part in page.split("](#")[1:]}
    assert linked <= headings


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("trainer", ["trainer"]),
        ("trainer.dpo", ["trainer.dpo"]),
        ("filters.length", ["filters.length"]),
        ("engine.vllm", ["engine.vllm"]),
        ("dpo", ["selection.dpo", "trainer.dpo"]),
        ("lora", ["trainer.lora"]),
        ("trainer.grpo.lora", ["trainer.lora"]),
        ("trainer.rewards", ["trainer.grpo.rewards"]),
        ("problems.dev", ["problems.train"]),
        ("guards.problems.file", ["problems.file"]),
        ("engine.lora_rank", ["engine.vllm"]),
        (
            "group_size",
            ["sampler", "trainer.grpo", "eval", "gate.min_gain", "gate.manual", "guards"],
        ),
        ("run", ["run"]),
    ],
)
def test_a_section_is_found_by_its_path_its_kind_or_a_setting(asked: str, found: list[str]) -> None:
    assert names(asked) == found


def test_a_setting_is_shown_alone() -> None:
    [section] = find_sections(EVERYTHING, "trainer.dpo.beta")
    assert [each.name for each in section.own] == ["beta"]


def test_an_unknown_section_is_told_with_what_is_near_and_all_that_there_is() -> None:
    with pytest.raises(InputError, match=r'"trainer.lroa"; did you mean "trainer.lora"') as caught:
        find_sections(EVERYTHING, "trainer.lroa")
    assert all(section.name in str(caught.value) for section in EVERYTHING)


class Inner(Config):
    """A table."""

    size: int = 1
    """Its size."""


class Sample(Config):
    """All that a setting may be."""

    count: Annotated[int, Field(ge=1, le=1000)] = 8
    share: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    on: bool = False
    choice: Literal["stop", "drop"] = "drop"
    note: str | None = None
    slug: Annotated[str, of_form("[a-z]+", "lower-case letters")]
    texts: Annotated[tuple[str, ...], Field(min_length=1)]
    levels: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2)
    either: Literal["all"] | tuple[str, ...] = "all"
    inner: Annotated[Inner | None, NotIdentity()] = None
    extra: dict[str, str] = {}


@pytest.mark.parametrize(
    ("name", "words", "default"),
    [
        ("count", "integer, at least 1, at most 1,000", "8"),
        ("share", "number, above 0, below 1", "1e-5"),
        ("on", "true or false", "false"),
        ("choice", 'one of "stop", "drop"', '"drop"'),
        ("note", "text or nothing", "left out"),
        ("slug", "text: lower-case letters", "required"),
        ("texts", "list of at least 1 text", "required"),
        ("levels", "list of integers (at least 1)", "[1, 2]"),
        ("either", '"all", or list of texts', '"all"'),
        ("inner", "table or nothing", "left out"),
        ("extra", "table", "{}"),
    ],
)
def test_types_and_defaults_are_told_in_plain_words(name: str, words: str, default: str) -> None:
    run, _ = describe(Sample)
    found = {each.name: each for each in run.settings}[name]
    assert (found.type, found.default_words) == (words, default)


def test_what_is_inside_a_table_that_changes_no_result_changes_none() -> None:
    run, inner = describe(Sample)
    assert [each.name for each in run.settings if not each.changes_result] == ["inner"]
    assert inner.settings[0].changes_result is False
    assert setting("retry", "attempts").changes_result is False
    assert setting("trainer.dpo", "devices").changes_result is False
    assert setting("trainer.dpo", "beta").changes_result is True


def test_a_kind_has_the_settings_of_its_table_too() -> None:
    [dpo] = find_sections(EVERYTHING, "trainer.dpo")
    [trainer] = find_sections(EVERYTHING, "trainer")
    assert {each.name for each in trainer.settings} == dpo.shared
    assert {"lora", "beta"} <= {each.name for each in dpo.settings}
    assert "lora" not in {each.name for each in dpo.own}


def test_every_key_of_the_recipes_is_described() -> None:
    known = {each.name for section in EVERYTHING for each in section.settings} | {"kind"}
    for recipe in CONFIGS.glob("*.toml"):
        assert used_keys(load_config(recipe)) <= known


def used_keys(config: BaseModel) -> set[str]:
    values = [getattr(config, name) for name in config.model_fields_set]
    flat = [each for v in values for each in (v if isinstance(v, tuple) else (v,))]
    inner = [used_keys(each) for each in flat if isinstance(each, BaseModel)]
    return set(config.model_fields_set).union(*inner)


def test_the_command_shows_one_section_and_as_json_one_object() -> None:
    shown = ratchet("trainer.dpo")
    assert shown.returncode == 0, shown.stderr
    assert "beta: number, above 0; default 0.1" in shown.stdout
    assert "As every kind of trainer:" in shown.stdout
    [section] = json.loads(ratchet("trainer.dpo", "--json").stdout)["sections"]
    assert section["kind"] == "dpo"
    assert {each["name"]: each["default"] for each in section["settings"]}["beta"] == 0.1


def test_the_command_shows_all_and_refuses_what_is_not_there() -> None:
    shown = ratchet()
    assert all(section.name in shown.stdout for section in EVERYTHING)
    wrong = ratchet("trainer.lroa")
    assert wrong.returncode == 2
    assert 'did you mean "trainer.lora"' in wrong.stderr
    assert ratchet("trainer", "--markdown").returncode == 2


def test_sections_are_in_the_order_of_the_config() -> None:
    tops = [section.name for section in EVERYTHING if "." not in section.name]
    assert tops[:4] == ["run", "model", "prompt", "problems"]
    assert tops[-4:] == ["gate", "guards", "exploration", "retry"]
