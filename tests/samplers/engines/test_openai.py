"""The openai engine against a real server on this machine, which misbehaves on a schedule."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from pydantic import TypeAdapter, ValidationError

from flows.engine_check import check_engine
from ratchet.config import parse_config
from ratchet.errors import InputError
from ratchet.generation.engine import (
    Engine,
    EngineDied,
    Request,
    RequestQueue,
    SampledGroup,
    Sampling,
)
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import ModelConfig, Policy, base_policy
from ratchet.problems.arithmetic import generate
from ratchet.records import Completion
from ratchet.store.artifacts import Store
from samplers import stage
from samplers.config import (
    DoSampleConfig,
    EngineConfig,
    OpenAIEngineConfig,
    VllmEngineConfig,
    check_params,
    check_prompt,
    engine_identity,
)
from samplers.serving.client import EngineClient
from tests.helpers.openai_server import ModelServer, answered
from tests.helpers.places import ROOT, SEED_MODEL

pytest.importorskip("openai", reason="the package openai is not installed")

KEY = "sk-test-0123456789abcdef-secret"
BASE = Policy(fingerprint="base", model="none")
SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=64, seed=3)
PROMPT = PromptConfig(template="Solve {problem}", system="Be short.")
FAULTS = (
    "429 slow down",
    "500 broken",
    "503 busy",
    "hang",
    "cut",
    "reset",
    "no json",
    "a list",
    "no choices",
    "error as 200",
    "other model",
    "null content",
    "no end",
)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    from samplers.engines import openai_calls

    monkeypatch.setattr(openai_calls, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def config_of(server: ModelServer, **more: Any) -> OpenAIEngineConfig:
    return OpenAIEngineConfig(url=server.url, **{"timeout": 1.0, **more})


def ask(name: str, size: int = 1) -> Request:
    return Request(name, name, f"problem {name}", size)


def finish(engine: Engine) -> list[SampledGroup]:
    groups: list[SampledGroup] = []
    while engine.pending:
        groups += engine.step()
    return groups


def draw(
    config: OpenAIEngineConfig,
    requests: list[Request],
    sampling: Sampling = SAMPLING,
    prompt: PromptConfig = PROMPT,
) -> dict[str, SampledGroup]:
    """All groups by their request, from an engine in this process."""
    from samplers.engines.openai import OpenAIEngine

    engine = OpenAIEngine(config, prompt)
    engine.load(BASE)
    engine.configure(sampling)
    for request in requests:
        engine.add(request)
    groups = finish(engine)
    assert engine.unfinished == 0
    assert len({group.request_id for group in groups}) == len(groups) == len(requests)
    return {group.request_id: group for group in groups}


def test_whatever_a_server_does_once_nothing_is_lost_and_nothing_doubled() -> None:
    size = len(FAULTS)

    def schedule(body: Any, before: int) -> str:
        """Each fault at the first try of some completions, another at the second of a few."""
        if before == 0:
            return FAULTS[body["seed"] % size]
        return FAULTS[body["seed"] // size % 60] if before == 1 and hits(body["seed"]) else "ok"

    def hits(seed: int) -> bool:
        return bool(seed // size % 60 < size)

    with ModelServer(schedule) as server:
        groups = draw(config_of(server, timeout=0.5), [ask(f"p{i}", 8) for i in range(20)])
        seen = {FAULTS[body["seed"] % size] for body in server.asked}
    assert seen == set(FAULTS), "not every fault was tried"
    assert {group.error for group in groups.values()} == {None}
    drawn = [output.completion for group in groups.values() for output in group.outputs]
    seeds = {body["seed"] for body in server.asked}
    assert len(seeds) == 160
    texts = {body["seed"]: body["messages"][-1]["content"] for body in server.asked}
    assert sorted(drawn) == sorted(answered(texts[seed], seed) for seed in seeds)
    for name, group in groups.items():
        assert group.prompt == f"Be short.\n\nSolve problem {name}"
        assert group.num_prompt_tokens == 3
        for output in group.outputs:
            assert output.completion.startswith(f"Solve problem {name} by ")
            assert (output.finish_reason, output.num_tokens, output.logprob) == ("stop", 5, -2.5)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("500 broken", "server_error"),
        ("429 slow down", "server_error"),
        ("hang", "server_error"),
        ("no json", "bad_answer"),
        ("other model", "bad_answer"),
        ("null content", "bad_answer"),
        ("filtered", "request_refused"),
    ],
)
def test_a_completion_that_fails_each_time_is_an_error_and_its_group_comes_back(
    fault: str, code: str
) -> None:
    def schedule(body: Any, before: int) -> str:
        return fault if body["messages"][-1]["content"] == "Solve problem bad" else "ok"

    with ModelServer(schedule, retry_after="0.01") as server:
        config = config_of(server, max_retries=2, timeout=0.2)
        groups = draw(config, [ask("bad", 2), ask("good", 2)])
        tries = sum("bad" in body["messages"][-1]["content"] for body in server.asked)
    assert groups["bad"].error == code
    assert [(o.completion, o.finish_reason, o.num_tokens) for o in groups["bad"].outputs] == [
        ("", "error", 0)
    ] * 2
    assert groups["good"].error is None
    assert tries == (2 if code == "request_refused" else 6)


def test_a_server_that_says_when_to_come_back_is_not_asked_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    came: list[float] = []

    def schedule(body: Any, before: int) -> str:
        came.append(time.monotonic())
        return "ok" if before else "429 slow down"

    with ModelServer(schedule, retry_after="0.7") as server:
        draw(config_of(server), [ask("p")])
    assert 0.7 <= came[1] - came[0] < 1.5


def test_waits_grow_have_an_end_and_heed_the_server_in_both_its_forms() -> None:
    from email.utils import formatdate

    from samplers.engines.openai_calls import LONGEST_RETRY_AFTER, LONGEST_WAIT, pause, retry_after

    assert [0.0075 * 2**n <= pause(n, None) <= 0.01 * 2**n for n in range(8)] == [True] * 8
    assert LONGEST_WAIT * 0.75 <= pause(100, None) <= LONGEST_WAIT
    assert len({pause(3, None) for _ in range(20)}) > 1, "no chance in it: all come back together"
    assert 7 <= pause(0, 7.0) <= 7.7
    assert pause(0, 1e9) <= LONGEST_RETRY_AFTER * 1.1
    assert retry_after({"retry-after": "180"}) == 180
    dated = retry_after({"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert dated is not None
    assert 57 < dated <= 60
    assert [retry_after({"retry-after": text}) for text in ("", "soon", "-3", "0")] == [None] * 4


def test_no_more_requests_are_made_at_once_than_the_settings_say() -> None:
    def schedule(body: Any, before: int) -> str:
        time.sleep(0.02)
        return "ok"

    with ModelServer(schedule) as server:
        draw(config_of(server, concurrency=3), [ask(f"p{i}", 4) for i in range(6)])
    assert server.most_at_once == 3


def test_every_setting_reaches_the_server() -> None:
    sampling = replace(
        SAMPLING, temperature=0.7, top_p=0.9, stop=("\n\n",), extra=(("top_k", 5), ("seen", "é"))
    )
    prompt = replace_prompt(chat_template_args={"enable_thinking": False})
    with ModelServer() as server:
        draw(config_of(server), [ask("p", 2)], sampling, prompt)
    one, two = server.asked
    assert one["seed"] != two["seed"]
    assert {key: one[key] for key in one if key != "seed"} == {
        "model": "seed",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Solve problem p"},
        ],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 64,
        "stop": ["\n\n"],
        "logprobs": True,
        "top_k": 5,
        "seen": "é",
        "chat_template_kwargs": {"enable_thinking": False},
    }


def replace_prompt(**more: Any) -> PromptConfig:
    return PROMPT.model_copy(update=more)


def test_a_plain_prompt_goes_to_the_other_api_as_it_is() -> None:
    with ModelServer() as server:
        config = config_of(server, api="completions")
        groups = draw(config, [ask("p")], prompt=replace_prompt(style="plain"))
    (body,) = server.asked
    assert body["prompt"] == groups["p"].prompt == "Be short.Solve problem p"
    (output,) = groups["p"].outputs
    assert output.completion == answered(body["prompt"], body["seed"])
    assert output.logprob == -0.5 * output.num_tokens


def test_the_same_seed_asks_for_the_same_and_another_for_others() -> None:
    def seeds(sampling: Sampling) -> set[int]:
        with ModelServer() as server:
            draw(config_of(server), [ask("p", 3), ask("q", 3)], sampling)
        return {body["seed"] for body in server.asked}

    first = seeds(SAMPLING)
    assert len(first) == 6
    assert first == seeds(SAMPLING)
    assert not first & seeds(replace(SAMPLING, seed=4))


@pytest.mark.parametrize(
    ("refused", "words", "then"),
    [
        ("logprobs", "400 unsupported parameter", {"logprobs": None, "top_p": 1.0}),
        ("seed", "422 Unknown field: seed", {"seed": None}),
        ("top_p", "400 temperature and top_p cannot both be given", {"top_p": None}),
        (
            "max_tokens",
            "400 Use 'max_completion_tokens' instead",
            {"max_tokens": None, "max_completion_tokens": 64},
        ),
    ],
)
def test_what_a_server_does_not_take_is_left_out_from_then_on(
    refused: str, words: str, then: dict[str, Any]
) -> None:
    with ModelServer(lambda body, _: words if refused in body else "ok") as server:
        config = config_of(server, concurrency=1)
        groups = draw(config, [ask(f"p{i}") for i in range(4)])
    assert {group.error for group in groups.values()} == {None}
    assert sum(refused in body for body in server.asked) == 1
    assert {key: server.asked[-1].get(key) for key in then} == then


def test_a_completion_gets_what_room_there_is_and_a_prompt_without_room_is_named_so() -> None:
    """Some servers refuse a prompt and `max_tokens` that do not fit together."""
    words = "400 This model's maximum context length is 50 tokens. However, you requested 64"

    def schedule(body: Any, before: int) -> str:
        is_long = "long" in body["messages"][-1]["content"]
        return words if is_long or body["max_tokens"] is not None else "cut by length"

    with ModelServer(schedule) as server:
        groups = draw(config_of(server), [ask("long", 2), ask("short")])
    assert (groups["long"].error, groups["long"].limit) == ("prompt_too_long", 50)
    assert groups["short"].error is None
    assert groups["short"].outputs[0].finish_reason == "length"


def test_a_setting_that_the_server_refuses_is_told_and_a_single_prompt_is_not() -> None:
    with (
        ModelServer(lambda body, _: "400 top_k must be positive") as server,
        pytest.raises(InputError, match=r"refuses what it is asked.*top_k must be positive"),
    ):
        draw(config_of(server), [ask("p")], replace(SAMPLING, extra=(("top_k", -3),)))

    def schedule(body: Any, before: int) -> str:
        return "400 not this" if "bad" in body["messages"][-1]["content"] else "ok"

    with ModelServer(schedule) as server:
        groups = draw(config_of(server, concurrency=1), [ask("bad", 2), ask("good"), ask("bad2")])
    errors = {name: group.error for name, group in groups.items()}
    assert errors == {"bad": "request_refused", "good": None, "bad2": "request_refused"}


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("dated model", {"error": None}),
        ("no usage", {"num_tokens": 0}),
        ("half a pair", {"completion": "a?b"}),
        ("cut by length", {"finish_reason": "length"}),
    ],
)
def test_answers_that_are_odd_and_still_of_use(kind: str, seen: dict[str, Any]) -> None:
    with ModelServer(lambda body, _: kind) as server:
        group = draw(config_of(server, max_retries=0), [ask("p")])["p"]
    (output,) = group.outputs
    found = {"error": group.error, **{name: getattr(output, name) for name in output.__slots__}}
    assert {name: found[name] for name in seen} == seen


def test_a_model_is_another_where_its_name_goes_on_with_more_than_a_date() -> None:
    from samplers.engines.openai_wire import is_named

    assert all(is_named(name, "gpt-4o") for name in (None, "gpt-4o", "gpt-4o-2024-08-06"))
    assert not any(is_named(name, "gpt-4o") for name in ("gpt-4o-mini", "gpt-4", "", "x/gpt-4o"))


def test_a_text_cut_while_the_model_thought_is_empty_and_no_failure() -> None:
    from samplers.engines.openai_wire import read_answer

    body = '{"choices": [{"finish_reason": "length", "message": {"content": null}}]}'
    assert read_answer(body, "chat", "seed").output.completion == ""


def test_the_only_model_is_found_and_of_several_one_must_be_named() -> None:
    from samplers.engines.openai import served_model

    with ModelServer(models=("only",)) as server:
        assert served_model(config_of(server)) == "only"
        draw(config_of(server), [ask("p")])
    assert server.asked[0]["model"] == "only"
    with ModelServer(models=("b", "a")) as server:
        with pytest.raises(InputError, match=r"2 models: a, b.*set engine.model"):
            served_model(config_of(server))
        assert served_model(config_of(server, model="b")) == "b"
    with ModelServer(models=()) as server, pytest.raises(InputError, match="named no models"):
        served_model(config_of(server))


def test_a_server_that_is_not_there_is_the_users_error() -> None:
    with ModelServer() as server:
        config = config_of(server)
    with pytest.raises(InputError, match=rf"{config.url} can't be reached \(.*refused.*\); start"):
        draw(config, [ask("p")])


@pytest.mark.parametrize("when", ["load", "later"])
def test_a_wrong_key_is_the_users_error_and_is_not_shown(when: str) -> None:
    right = ("another",) if when == "load" else ()
    with (
        ModelServer(lambda body, _: "401 no", keys=right) as server,
        pytest.raises(InputError, match=r"key that OPENAI_API_KEY holds \(status 401\); set") as e,
    ):
        draw(config_of(server), [ask("p")])
    assert KEY not in str(e.value)


@pytest.mark.parametrize(
    ("status", "to_do"),
    [(402, "go on with the run"), (403, "have it allowed"), (404, r"it has 1 models: seed;")],
)
def test_what_only_the_user_can_mend_is_told_at_once(status: int, to_do: str) -> None:
    with (
        ModelServer(lambda body, _: f"{status} because") as server,
        pytest.raises(InputError, match=rf"because.*(?s:.*){to_do}") as error,
    ):
        draw(config_of(server), [ask("p")])
    assert len(server.asked) == 1
    assert KEY not in str(error.value)


def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-zwölf")
    with ModelServer() as server:
        with pytest.raises(InputError, match="MY_KEY holds characters") as error:
            draw(config_of(server, api_key_env="MY_KEY"), [ask("p")])
        assert "zw" not in str(error.value)
        monkeypatch.setenv("MY_KEY", f"{KEY}\n")
        server.keys = (KEY,)
        draw(config_of(server, api_key_env="MY_KEY"), [ask("p")])


@pytest.mark.parametrize("policy", [replace(BASE, iteration=0), replace(BASE, adapter="adapter")])
def test_what_was_trained_cannot_be_loaded(policy: Policy) -> None:
    from samplers.engines.openai import OpenAIEngine

    engine = OpenAIEngine(OpenAIEngineConfig(url="http://127.0.0.1:1/v1"), PROMPT)
    with pytest.raises(InputError, match=r'its own model.*set engine.kind = "vllm"'):
        engine.load(policy)


def test_a_completions_beginning_is_refused() -> None:
    from samplers.engines.openai import OpenAIEngine

    engine = OpenAIEngine(OpenAIEngineConfig(url="http://127.0.0.1:1/v1"), PROMPT)
    with pytest.raises(InputError, match="go on from a completion's beginning"):
        engine.add(replace(ask("p"), prefix="First"))


def test_after_a_cancel_nothing_old_comes_back_and_nobody_waits_for_it() -> None:
    from samplers.engines.openai import OpenAIEngine

    def schedule(body: Any, before: int) -> str:
        return "hang" if "old" in body["messages"][-1]["content"] else "ok"

    with ModelServer(schedule) as server:
        engine = OpenAIEngine(config_of(server, concurrency=2, timeout=3.0), PROMPT)
        engine.load(BASE)
        engine.configure(SAMPLING)
        for index in range(4):
            engine.add(ask(f"old{index}", 2))
        engine.step()
        start = time.monotonic()
        engine.cancel()
        assert (engine.pending, engine.unfinished) == (0, 0)
        engine.configure(SAMPLING)
        engine.add(ask("new", 3))
        groups = finish(engine)
        assert time.monotonic() - start < 2.0
        assert [group.request_id for group in groups] == ["new"]
        old = sum("old" in body["messages"][-1]["content"] for body in server.asked)
    assert old == 2, "what had not been sent by the cancel was sent after it"


def test_a_server_that_fails_at_everything_stops_the_engine() -> None:
    from samplers.engines.openai import MOST_GIVEN_UP, ServerGone

    with (
        ModelServer(lambda body, _: "other model") as server,
        pytest.raises(ServerGone, match="16 completions in a row; the last: 'other' answered"),
    ):
        draw(config_of(server, max_retries=0), [ask(f"p{i}") for i in range(40)])
    with ModelServer(lambda body, _: "500 no") as server:
        few = draw(config_of(server, max_retries=0), [ask("p", MOST_GIVEN_UP - 1)])
    assert few["p"].error == "server_error"


def test_a_server_that_is_gone_stops_the_engine_at_the_first_completion() -> None:
    from samplers.engines.openai import OpenAIEngine, ServerGone

    with ModelServer() as server:
        engine = OpenAIEngine(config_of(server, max_retries=1), PROMPT)
        engine.load(BASE)
        engine.configure(SAMPLING)
    engine.add(ask("p"))
    with pytest.raises(ServerGone, match=f"the server at {server.url} answers no more"):
        finish(engine)


def sample(
    client: EngineClient, engine: OpenAIEngineConfig, store: Store, size: int = 3
) -> list[Completion]:
    """The rows of a sample stage."""
    inputs = stage.SampleInputs(
        problems=generate("train", 12, (1,), 0),
        problems_fingerprint="f",
        policy=BASE,
        completer=client,
        prompt=PROMPT,
        engine=engine,
        iteration=0,
        seed=0,
    )
    config = DoSampleConfig(group_size=size, shard_size=12, max_tokens=64)
    made, _ = store.build(stage.spec(config, inputs), lambda out: stage.run(config, inputs, out))
    return list(made.rows(Completion))


def files_with(folder: Path, text: str) -> list[str]:
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def test_the_sample_stage_draws_from_a_server_and_the_key_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says the key in each of its errors, and the package logs all that it can."""
    monkeypatch.setenv("OPENAI_LOG", "debug")

    def schedule(body: Any, before: int) -> str:
        if "logprobs" in body:
            return "400 no logprobs"
        return "400 never this" if body["seed"] % 5 == 0 else ("500 broken" if not before else "ok")

    log = tmp_path / "logs" / "engine.log"
    log.parent.mkdir()
    with ModelServer(schedule, keys=(KEY,)) as server:
        engine = config_of(server)
        with EngineClient(engine, PROMPT, log) as client:
            rows = sample(client, engine, Store(tmp_path / "store"))
            server.schedule = lambda body, before: "404 gone"
            with pytest.raises(InputError, match=r"key not shown(?s:.*)has no model") as error:
                sample(client, engine, Store(tmp_path / "other"), size=2)
    assert len(rows) == 36
    assert {row.error for row in rows} == {None, "request_refused"}
    assert all((row.error is None) == row.completion.startswith("Solve ") for row in rows)
    assert "never this" in log.read_text(), "the log does not say what was refused"
    assert files_with(tmp_path, "request_refused"), "nothing was searched"
    assert files_with(tmp_path, KEY) == []
    assert KEY not in str(error.value)


def test_a_server_that_goes_away_ends_the_engine_and_is_found_again(tmp_path: Path) -> None:
    """Its completions are asked for again by another engine, and do not become errors.

    Of 288 at most 15 are answered, in any order, so that at least 18 fail in a row.
    """
    store = Store(tmp_path / "store")
    with ModelServer() as server:
        engine = config_of(server, max_retries=0)

        def schedule(body: Any, before: int) -> str:
            return "reset" if len(server.asked) > 15 else "ok"

        server.schedule = schedule
        with EngineClient(engine, PROMPT, tmp_path / "log") as client:
            with pytest.raises(EngineDied, match="gave nothing of use for 16 completions"):
                sample(client, engine, store, size=24)
            server.schedule = lambda body, before: "ok"
            rows = sample(client, engine, store, size=24)
    assert len(rows) == 288
    assert {row.error for row in rows} == {None}


def test_a_plan_speaks_to_no_server() -> None:
    with ModelServer() as server:
        engine = config_of(server)
        check_engine(engine)
        engine_identity(engine)
    assert server.lists == 0


def test_a_server_counts_by_its_url_and_model_and_not_by_how_it_is_asked() -> None:
    url = "http://localhost:8000/v1"
    plain = OpenAIEngineConfig(url=url, model="a")
    same = OpenAIEngineConfig(
        url=f"{url}/", model="a", concurrency=2, max_retries=0, timeout=3, api_key_env=""
    )
    assert engine_identity(plain) == engine_identity(same)
    assert engine_identity(plain) == {"kind": "openai", "url": url, "model": "a", "api": "chat"}
    others = [
        OpenAIEngineConfig(url="http://localhost:8001/v1", model="a"),
        OpenAIEngineConfig(url=url, model="b"),
        OpenAIEngineConfig(url=url, model="a", api="completions"),
    ]
    assert all(engine_identity(other) != engine_identity(plain) for other in others)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"url": "localhost:8000/v1"}, "is no URL of a server"),
        ({"url": "ftp://host/v1"}, "is no URL of a server"),
        ({"url": f"http://user:{KEY}@host/v1"}, "holds a user, a password"),
        ({"url": f"http://host/v1?key={KEY}"}, "holds a user, a password"),
        ({"url": "http://host/v1/chat/completions"}, "leave out what comes after /v1"),
        ({"url": "http://host/v1", "api_key_env": KEY}, "must be the name of an environment"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused_and_no_key_in_it_is_shown(
    settings: dict[str, str], why: str
) -> None:
    with pytest.raises(InputError, match=why) as error:
        parse_config(OpenAIEngineConfig, settings, "the config")
    assert KEY not in str(error.value)


def test_the_kind_is_one_of_the_engines_and_knows_what_it_sends_itself() -> None:
    adapter: TypeAdapter[EngineConfig] = TypeAdapter(EngineConfig)
    engine = adapter.validate_python({"kind": "openai", "url": "http://h/v1", "concurrency": 5})
    assert engine == OpenAIEngineConfig(url="http://h/v1", concurrency=5)
    assert engine.in_flight == 10
    check_params(engine, {"top_k": 5})
    with pytest.raises(ValueError, match="'stream' is set by nothing"):
        check_params(engine, {"stream": True})
    with pytest.raises(ValidationError, match="url"):
        adapter.validate_python({"kind": "openai"})


def test_prompts_and_api_must_agree() -> None:
    chat = OpenAIEngineConfig(url="http://127.0.0.1:1/v1")
    plain = chat.model_copy(update={"api": "completions"})
    check_prompt(chat, PromptConfig())
    check_prompt(plain, PromptConfig(style="plain"))
    check_prompt(VllmEngineConfig(), PromptConfig(style="plain"))
    with pytest.raises(ValueError, match=r'set engine.api = "chat", or'):
        check_prompt(plain, PromptConfig())
    with pytest.raises(InputError, match=r'set engine.api = "completions", or'):
        draw(chat, [], prompt=PromptConfig(style="plain"))


@contextmanager
def vllm_serve(folder: Path, log: Path) -> Iterator[str]:
    """A real `vllm serve` of a checkpoint on a free port."""
    from socket import create_server

    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(folder), "--served-model-name", "seed", "--dtype", "float32"]
    command += ["--max-model-len", "512", "--enforce-eager", "--max-num-seqs", "8"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--generation-config", "vllm"]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(480):
                if server.poll() is not None or is_up(f"{url}/health"):
                    break
                time.sleep(0.5)
            assert is_up(f"{url}/health"), log.read_text()[-3000:]
            yield f"{url}/v1"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def is_up(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@pytest.mark.slow
def test_a_real_vllm_server_answers_as_vllm_in_the_engine_process_does(tmp_path: Path) -> None:
    pytest.importorskip("vllm.version", reason="vLLM is not installed")
    problems = generate("dev", 20, (1, 2, 3), 0)
    asked = [Request(p.problem_id, p.problem_id, p.problem, 1) for p in problems]
    long = Request("long", "long", "12 + 3 = " * 300, 1)
    greedy = Sampling(temperature=0.0, top_p=1.0, max_tokens=480, seed=0)
    policy = base_policy(ModelConfig(path=str(SEED_MODEL)))
    prompt = PromptConfig()

    def answers(engine: EngineConfig, name: str) -> dict[str, SampledGroup]:
        with EngineClient(engine, prompt, tmp_path / name) as client:
            groups = client.generate(policy, greedy, RequestQueue([*asked, long]))
            return {group.request_id: group for group in groups}

    with vllm_serve(SEED_MODEL, tmp_path / "serve.log") as url:
        served = answers(OpenAIEngineConfig(url=url), "openai.log")
    own = VllmEngineConfig(dtype="float32", max_num_seqs=8, max_model_len=512, enforce_eager=True)
    local = answers(own, "vllm.log")
    for name, group in local.items():
        assert served[name].error == group.error
        for one, other in zip(served[name].outputs, group.outputs, strict=True):
            assert one.completion == other.completion
            assert (one.finish_reason, one.num_tokens) == (other.finish_reason, other.num_tokens)
            assert (one.logprob is not None) == (one.finish_reason != "error")
        if group.error is None:
            assert served[name].num_prompt_tokens == group.num_prompt_tokens
    assert served["long"].error == "prompt_too_long"
    assert served["long"].limit == 512
