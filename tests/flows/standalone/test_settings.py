"""Where settings come from: a config, then a protocol, then --set, then --seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.protocols import ResolvedProtocol, protocol_named, resolve
from flows.standalone.settings import GivenSettings, guarded_config, origin_of_file, settings_of
from ratchet.errors import InputError
from ratchet.records import Problem
from samplers.config import OpenAIEngineConfig
from tests.helpers.world import write_config, write_recording


def _worked(count: int) -> list[Problem]:
    return [
        Problem(problem_id=str(at), problem=f"p{at}", reference_answer="1", solution="s")
        for at in range(count)
    ]


BOXED = resolve(protocol_named("boxed"), [], [])
PLAIN = resolve(protocol_named("math-4-shot"), _worked(4), [])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_config(tmp_path / "world.toml", write_recording(tmp_path / "recording.jsonl"))


def sampled_config(file: Path) -> None:
    """The world's config, with eight completions of each problem instead of the likeliest."""
    text = file.read_text().replace("temperature = 0\n", "temperature = 0.6\ngroup_size = 8\n")
    assert "group_size = 8" in text
    file.write_text(text)


def test_without_a_word_everything_is_as_a_config_leaves_it() -> None:
    settings = settings_of(GivenSettings(), None)
    assert (settings.engine.kind, settings.gate.kind, settings.seed) == ("vllm", "paired", 0)


def test_each_word_goes_before_the_one_in_front_of_it(file: Path) -> None:
    origin = origin_of_file(file)
    plain = settings_of(GivenSettings(origin), None)
    assert (plain.engine.kind, plain.prompt.template, plain.eval.max_tokens) == (
        "replay",
        "{problem}",
        64,
    )
    by_protocol = settings_of(GivenSettings(origin), BOXED)
    assert by_protocol.prompt == BOXED.prompt
    assert by_protocol.eval == plain.eval
    words = ("prompt.template=Q: {problem}", "eval.max_tokens=7", "seed=3")
    by_word = settings_of(GivenSettings(origin, words, seed=4), BOXED)
    assert (by_word.prompt.template, by_word.eval.max_tokens, by_word.seed) == (
        "Q: {problem}",
        7,
        4,
    )


def test_a_greedy_protocol_leaves_no_group_of_the_config(file: Path) -> None:
    sampled_config(file)
    settings = settings_of(GivenSettings(origin_of_file(file)), PLAIN)
    assert (settings.eval.temperature, settings.eval.group_size) == (0, 1)
    assert settings.eval.shard_size == 20
    drawn = GivenSettings(None, ("eval.temperature=0.7", "eval.group_size=8"))
    assert settings_of(drawn, PLAIN).eval.group_size == 8


@pytest.mark.parametrize(
    ("protocol", "api"), [(None, "chat"), (BOXED, "chat"), (PLAIN, "completions")]
)
def test_a_server_takes_the_place_of_the_configs_engine_and_is_asked_as_it_fits(
    file: Path, protocol: ResolvedProtocol | None, api: str
) -> None:
    server = {"kind": "openai", "url": "http://localhost:1/v1"}
    origin = origin_of_file(file)
    settings = settings_of(GivenSettings(origin, ("engine.model=m",), server=server), protocol)
    assert isinstance(settings.engine, OpenAIEngineConfig)
    assert (settings.engine.api, settings.engine.model) == (api, "m")
    wrong = "chat" if api == "completions" else "completions"
    with pytest.raises(InputError, match=r"prompt\.style"):
        settings_of(GivenSettings(origin, (f"engine.api={wrong}",), server=server), protocol)


def test_all_that_is_wrong_is_told_at_once() -> None:
    words = (
        "eval.temperature=-1",
        "engine.max_modellen=3",
        "trainer.kind=sft",
        "eval.params={n=2}",
    )
    with pytest.raises(InputError) as told:
        settings_of(GivenSettings(None, words), None)
    for name in ("eval.temperature", "engine.max_modellen", "trainer", "eval.params"):
        assert name in str(told.value)


def test_guards_are_checked_against_what_is_drawn(file: Path) -> None:
    sampled_config(file)
    file.write_text(f'{file.read_text()}\n[[guards]]\nname = "g"\nmetric = "pass_at_k"\nk = 2\n')
    origin = origin_of_file(file)
    assert guarded_config(GivenSettings(origin), None) == origin.config
    with pytest.raises(InputError, match=r"guards\[0\]\.k"):
        guarded_config(GivenSettings(origin, ("gate.looks=[1, 2]",)), None)
    assert guarded_config(GivenSettings(), None) is None
