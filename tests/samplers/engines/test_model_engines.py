"""The engines that run a model: one vLLM and one transformers process serve all these tests."""

import json
import os
import signal
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ratchet.errors import InputError
from ratchet.generation.engine import EngineDied, Request, RequestQueue, SampledGroup, Sampling
from ratchet.generation.prompts import PromptConfig, prompt_token_ids, render_prompt
from ratchet.policy import Policy
from samplers.config import TransformersEngineConfig, VllmEngineConfig
from samplers.serving.client import EngineClient
from tests.helpers.tiny_models import FOR_SAMPLING
from trainers.export.job import ExportJob, write_checkpoint

GREEDY = Sampling(temperature=0.0, top_p=1.0, max_tokens=24, seed=0)
SAMPLED = Sampling(temperature=1.0, top_p=1.0, max_tokens=24, seed=1)
PROBLEMS = ["1 + 1", "what is 2 * 3?", "seven apples and 12 pears", "a", "9 - 4 = ?"]


def ask(name: str, problem: str, size: int, prefix: str = "") -> Request:
    return Request(name, name, problem, size, prefix)


def requests(count: int = len(PROBLEMS), size: int = 1) -> RequestQueue:
    return RequestQueue(ask(f"p{i}", PROBLEMS[i % len(PROBLEMS)], size) for i in range(count))


def answers(
    client: EngineClient, policy: Policy, sampling: Sampling = GREEDY, count: int = 5, size: int = 1
) -> dict[str, list[str]]:
    groups = client.generate(policy, sampling, requests(count, size))
    return {g.problem_id: [o.completion for o in g.outputs] for g in groups}


def one_group(
    client: EngineClient, policy: Policy, sampling: Sampling, request: Request
) -> SampledGroup:
    (group,) = client.generate(policy, sampling, RequestQueue([request]))
    return group


def reference(folder: Path, problem: str, max_tokens: int, adapter: Path | None = None) -> str:
    """Greedy answer of a fresh load of a checkpoint, token by token, with no engine of ours.

    The argmax of plain logits: what a checkpoint says of sampling has no part in it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    ends = set(model.generation_config.eos_token_id)
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    prompt = render_prompt(tokenizer, PromptConfig(), problem)
    ids = prompt_token_ids(tokenizer, prompt)
    drawn: list[int] = []
    with torch.inference_mode():
        while len(drawn) < max_tokens and not ends & set(drawn):
            logits = model(torch.tensor([ids + drawn])).logits
            drawn.append(int(logits[0, -1].argmax()))
    text: str = tokenizer.decode([at for at in drawn if at not in ends], skip_special_tokens=True)
    return text


def first_token_probabilities(folder: Path, problem: str, temperature: float) -> dict[str, float]:
    """What a fresh load of a checkpoint gives each text that a completion of one token can be."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    ids = prompt_token_ids(tokenizer, render_prompt(tokenizer, PromptConfig(), problem))
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, -1]
    chances: dict[str, float] = {}
    for token, chance in enumerate(torch.softmax(logits / temperature, -1).tolist()):
        ends = token in model.generation_config.eos_token_id
        text = "" if ends else tokenizer.decode([token], skip_special_tokens=True)
        chances[text] = chances.get(text, 0.0) + chance
    return chances


@pytest.fixture(params=["vllm", "transformers"])
def client(request: pytest.FixtureRequest) -> EngineClient:
    found: EngineClient = request.getfixturevalue(f"{request.param}_client")
    return found


def test_swapped_weights_answer_as_freshly_loaded_ones(
    client: EngineClient, policies: dict[str, Policy], checkpoints: dict[str, Path]
) -> None:
    one = answers(client, policies["one"])
    two = answers(client, policies["two"])
    adapted = answers(client, policies["adapted"])
    again = answers(client, policies["one"])
    assert one == again
    assert one != two
    assert one != adapted
    for index, problem in enumerate(PROBLEMS):
        key = f"p{index}"
        assert one[key] == [reference(checkpoints["one"], problem, 24)]
        assert two[key] == [reference(checkpoints["two"], problem, 24)]
        adapter = checkpoints["adapter"]
        assert adapted[key] == [reference(checkpoints["one"], problem, 24, adapter)]


def test_a_completion_goes_on_from_its_beginning(
    client: EngineClient, policies: dict[str, Policy]
) -> None:
    """The tiny tokenizer has one token a character, so any beginning is whole tokens."""
    groups = client.generate(policies["one"], replace(GREEDY, max_tokens=4), requests())
    # Those without a special token among their first four, which a text does not show.
    whole = next(group for group in groups if len(group.outputs[0].completion) == 4)
    text = whole.outputs[0].completion
    problem = PROBLEMS[int(whole.problem_id[1:])]
    rest = one_group(client, policies["one"], GREEDY, ask("p", problem, 1, text[:2]))
    assert rest.outputs[0].completion.startswith(text[2:])
    assert rest.prompt == whole.prompt
    assert rest.num_prompt_tokens == whole.num_prompt_tokens + 2


def test_a_checkpoints_own_sampling_settings_have_no_part(
    client: EngineClient, policies: dict[str, Policy], checkpoints: dict[str, Path]
) -> None:
    """The tiny models' generation_config.json holds them; greedy answers are held to it above."""
    own = json.loads((checkpoints["one"] / "generation_config.json").read_text())
    assert FOR_SAMPLING.generation.items() <= own.items(), "the checkpoint no longer has any"
    sampling = replace(SAMPLED, temperature=2.0, max_tokens=1)
    group = one_group(client, policies["one"], sampling, ask("p", PROBLEMS[1], 1000))
    drawn = Counter(output.completion for output in group.outputs)
    expected = first_token_probabilities(checkpoints["one"], PROBLEMS[1], temperature=2.0)
    off = sum(abs(drawn[text] / 1000 - chance) for text, chance in expected.items()) / 2
    assert off < 0.15, "of 1,000 draws from these 47 chances, 8 % lie elsewhere on average"


def test_a_completion_ends_at_each_end_token_that_the_checkpoint_or_its_tokenizer_names(
    client: EngineClient, policies: dict[str, Policy]
) -> None:
    sampling = replace(SAMPLED, max_tokens=100)
    group = one_group(client, policies["one"], sampling, ask("p", "1 + 1", 64))
    assert {output.finish_reason for output in group.outputs} == {"stop", "length"}
    assert not any(FOR_SAMPLING.also_ends in output.completion for output in group.outputs)
    stopped = [output for output in group.outputs if output.finish_reason == "stop"]
    # One token is one character, and the end token is counted but no part of the text.
    assert all(output.num_tokens >= len(output.completion) + 1 for output in stopped)
    assert any(output.num_tokens == len(output.completion) + 1 for output in stopped)


def test_an_adapter_is_dropped_with_its_policy(
    vllm_client: EngineClient, policies: dict[str, Policy]
) -> None:
    adapted = answers(vllm_client, policies["adapted"])
    two = answers(vllm_client, policies["two"])
    assert answers(vllm_client, policies["adapted"]) == adapted
    assert answers(vllm_client, policies["two"]) == two


def test_prompts_have_the_token_ids_of_their_text_and_one_bos(
    client: EngineClient, policies: dict[str, Policy], checkpoints: dict[str, Path]
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoints["one"])
    messages = [{"role": "user", "content": PROBLEMS[1]}]
    templated = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    group = one_group(client, policies["one"], GREEDY, ask("p", PROBLEMS[1], 1))
    ids = prompt_token_ids(tokenizer, group.prompt)
    assert ids == templated
    assert ids.count(tokenizer.bos_token_id) == 1
    assert group.num_prompt_tokens == len(ids)
    assert len(tokenizer(group.prompt)["input_ids"]) == len(ids) + 1, "the trap is real"


def test_a_prompt_that_does_not_fit_is_a_row_and_stops_nothing(
    client: EngineClient, policies: dict[str, Policy]
) -> None:
    asked = [ask("long", "a" * 200, 2), ask("short", "a", 2)]
    groups = {
        g.problem_id: g for g in client.generate(policies["one"], SAMPLED, RequestQueue(asked))
    }
    long = groups["long"]
    assert long.error == "prompt_too_long"
    assert long.num_prompt_tokens > 200
    assert [(o.completion, o.finish_reason, o.num_tokens) for o in long.outputs] == [
        ("", "error", 0)
    ] * 2
    assert groups["short"].error is None


def test_a_completion_ends_at_the_end_of_the_context(
    client: EngineClient, policies: dict[str, Policy]
) -> None:
    sampling = replace(SAMPLED, max_tokens=500)
    group = one_group(client, policies["one"], sampling, ask("p", "a" * 90, 24))
    assert {output.finish_reason for output in group.outputs} == {"stop", "length"}
    for output in group.outputs:
        used = group.num_prompt_tokens + output.num_tokens
        assert used <= FOR_SAMPLING.context
        # The last token that there is room for may be an end token.
        assert output.finish_reason == "stop" or used == FOR_SAMPLING.context


def test_a_stop_text_ends_a_completion_and_is_no_part_of_it(
    client: EngineClient, policies: dict[str, Policy]
) -> None:
    whole = answers(client, policies["one"])["p0"][0]
    stop = whole[len(whole) // 2]
    group = one_group(
        client, policies["one"], replace(GREEDY, stop=(stop,)), ask("p0", PROBLEMS[0], 1)
    )
    (output,) = group.outputs
    assert output.completion == whole[: whole.index(stop)]
    assert output.finish_reason == "stop"
    assert whole.index(stop) < output.num_tokens < GREEDY.max_tokens


def test_a_seed_makes_sampling_repeat_and_attempts_differ(
    client: EngineClient, policies: dict[str, Policy]
) -> None:
    first = answers(client, policies["one"], SAMPLED, count=6, size=2)
    again = answers(client, policies["one"], SAMPLED, count=6, size=2)
    other = answers(client, policies["one"], replace(SAMPLED, seed=2), count=6, size=2)
    assert first == again
    assert first != other
    assert all(len(set(group)) > 1 for group in first.values())
    assert first["p0"] != first["p5"], "the same problem asked twice is sampled twice"


def test_a_large_group_comes_back_whole(
    vllm_client: EngineClient, policies: dict[str, Policy]
) -> None:
    sampling = replace(SAMPLED, max_tokens=4)
    group = one_group(vllm_client, policies["one"], sampling, ask("p", "1 + 1", 150))
    assert len(group.outputs) == 150
    assert all(o.logprob is not None and o.logprob <= 0 for o in group.outputs)


def logprob_of(folder: Path, prompt: str, text: str) -> float:
    """What a fresh load of a checkpoint gives a text after a prompt: the sum over its characters,
    each of which is a token."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    drawn = tokenizer.convert_tokens_to_ids(list(text))
    ids = [*prompt_token_ids(tokenizer, prompt), *drawn]
    with torch.inference_mode():
        logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)
    before = range(len(ids) - len(drawn) - 1, len(ids) - 1)
    return sum(float(logprobs[at, token]) for at, token in zip(before, drawn, strict=True))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_completions_logprob_is_the_models_own_sum_at_any_temperature(
    vllm_client: EngineClient,
    policies: dict[str, Policy],
    checkpoints: dict[str, Path],
    temperature: float,
) -> None:
    """A completion without a special token shows all of its tokens."""
    sampling = replace(SAMPLED, temperature=temperature, max_tokens=8)
    group = one_group(vllm_client, policies["one"], sampling, ask("p", PROBLEMS[1], 96))
    shown = [output for output in group.outputs if len(output.completion) == output.num_tokens]
    assert len(shown) > 3
    for output in shown[:4]:
        expected = logprob_of(checkpoints["one"], group.prompt, output.completion)
        assert output.logprob == pytest.approx(expected, abs=1e-3)


def test_the_users_own_logprobs_go_before_the_recorded_ones(
    vllm_client: EngineClient, policies: dict[str, Policy]
) -> None:
    """With more tokens than the drawn one vLLM's own sum is read, which is the same."""
    drawn = []
    for extra in ((), (("logprobs", 3),), (("logprobs", None),)):
        sampling = replace(SAMPLED, extra=extra)
        drawn.append(one_group(vllm_client, policies["one"], sampling, ask("p", "1 + 1", 8)))
    ours, theirs, none = ([output.logprob for output in group.outputs] for group in drawn)
    assert len({tuple(o.completion for o in group.outputs) for group in drawn}) == 1
    assert ours == pytest.approx(theirs)
    assert none == [None] * 8


def test_logprobs_can_be_switched_off(vllm_config: VllmEngineConfig) -> None:
    from samplers.engines.vllm import VllmEngine

    for switch, asked in ((True, {"logprobs": 0}), (False, {})):
        config = vllm_config.model_copy(update={"logprobs": switch})
        assert VllmEngine(config, PromptConfig(), lora=False)._logprobs() == asked


def test_an_abandoned_generate_leaves_nothing_for_the_next(
    client: EngineClient, policies: dict[str, Policy]
) -> None:
    expected = answers(client, policies["one"])
    stream = client.generate(policies["one"], SAMPLED, requests(200, size=4))
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    assert answers(client, policies["one"]) == expected


def test_the_device_can_be_released_between_two_generates(
    client: EngineClient, policies: dict[str, Policy]
) -> None:
    before, pid = answers(client, policies["one"]), client.pid
    client.release_device()
    client.release_device()
    assert answers(client, policies["one"]) == before
    assert client.pid == pid


def test_a_refused_sampling_parameter_is_the_users_error(
    policies: dict[str, Policy], tmp_path: Path
) -> None:
    config = TransformersEngineConfig(dtype="float32", device="cpu")
    sampling = replace(SAMPLED, extra=(("top_k", -3),))
    with (
        EngineClient(config, PromptConfig(), tmp_path / "log") as client,
        pytest.raises(InputError, match="top_k"),
    ):
        answers(client, policies["one"], sampling)


def test_a_model_that_is_not_there_is_the_users_error(tmp_path: Path) -> None:
    config = TransformersEngineConfig(dtype="float32", device="cpu")
    missing = Policy(fingerprint="x", model=str(tmp_path / "no-model"))
    with (
        EngineClient(config, PromptConfig(), tmp_path / "log") as client,
        pytest.raises(InputError, match="no-model"),
    ):
        answers(client, missing)


@pytest.mark.slow
def test_an_engine_argument_that_vllm_refuses_is_the_users_error(
    vllm_config: VllmEngineConfig, policies: dict[str, Policy], tmp_path: Path
) -> None:
    config = vllm_config.model_copy(update={"args": {"kv_cache_dtype": "int3"}})
    with (
        EngineClient(config, PromptConfig(), tmp_path / "log") as client,
        pytest.raises(InputError, match="kv_cache_dtype"),
    ):
        answers(client, policies["one"])


def test_an_adapter_larger_than_the_engine_keeps_room_for_is_named(
    vllm_config: VllmEngineConfig, policies: dict[str, Policy], tmp_path: Path
) -> None:
    from samplers.engines.vllm import VllmEngine

    (tmp_path / "adapter_config.json").write_text('{"r": 128}')
    engine = VllmEngine(vllm_config, PromptConfig(), lora=True)
    with pytest.raises(InputError, match=r"rank 128.*set engine.lora_rank = 128"):
        engine._check_adapter(tmp_path)


def test_a_killed_engine_answers_again_after_its_restart(
    transformers_client: EngineClient, policies: dict[str, Policy]
) -> None:
    expected = answers(transformers_client, policies["one"])
    stream = transformers_client.generate(policies["one"], SAMPLED, requests(100, size=4))
    next(iter(stream))
    assert transformers_client.pid is not None
    os.kill(transformers_client.pid, signal.SIGKILL)
    with pytest.raises(EngineDied, match="SIGKILL"):
        list(stream)
    assert answers(transformers_client, policies["one"]) == expected


def test_vllm_answers_from_an_exported_checkpoint_as_from_model_and_adapter(
    vllm_client: EngineClient, policies: dict[str, Policy], tmp_path: Path
) -> None:
    folder = tmp_path / "exported"
    folder.mkdir()
    job = ExportJob(
        policy=asdict(policies["adapted"]), folder=str(folder), dtype="float32", merged=True
    )
    write_checkpoint(job, tmp_path)
    exported = Policy(fingerprint="exported", model=str(folder))
    assert answers(vllm_client, exported) == answers(vllm_client, policies["adapted"])
