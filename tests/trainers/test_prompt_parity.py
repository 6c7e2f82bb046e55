"""Prompts are the same tokens in sampling, evaluation and training; a completion is learned whole.

What is compared are the tensors that reach the model, in `generate` and in the loss.
"""

from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from transformers import Qwen2ForCausalLM

from ratchet.errors import InputError
from ratchet.generation.engine import Request, Sampling
from ratchet.generation.prompts import PromptConfig, prompt_token_ids, render_prompt
from ratchet.policy import ModelConfig, base_policy
from ratchet.records import DpoRow, GrpoRow, SftRow
from samplers.config import TransformersEngineConfig, VllmEngineConfig
from samplers.engines.transformers import TransformersEngine
from samplers.engines.vllm import VllmEngine
from tests.helpers.tiny_models import TinyModel, save_model
from tests.helpers.tiny_tokenizers import CHATML, PLAIN, WITH_BOS, bytes_tokenizer
from tests.helpers.training_bench import Bench, make_row
from trainers.config import DpoConfig, GrpoConfig, SftConfig
from trainers.data.tokens import IGNORED, check_prompts
from trainers.dpo.training import PlannedDpoTrainer
from trainers.grpo.training import PlannedGrpoTrainer
from trainers.sft.training import PlannedSftTrainer

PROBLEMS = ["1+1?", "What is 12 times 7?", "ünï <b>", "a\nb"]
CASES = {
    "bos_twice": (WITH_BOS, PromptConfig(template="{problem} Think.")),
    "no_bos": (PLAIN, PromptConfig()),
    "chatml_with_system": (CHATML, PromptConfig(system="You are brief.")),
}
SHORT = {"batch_size": 4, "max_steps": 1, "max_length": 200}


@dataclass
class World:
    """A model of one chat template, and what its sampler and trainers make of the problems."""

    prompt: PromptConfig
    tokenizer: object
    bench: Bench
    monkeypatch: pytest.MonkeyPatch
    texts: list[str] = field(default_factory=list)

    def ids(self):
        """The token ids that every part has to use."""
        return [prompt_token_ids(self.tokenizer, text) for text in self.texts]

    def learned(self, completion):
        ids = self.tokenizer(completion, add_special_tokens=False)["input_ids"]
        return [*ids, self.tokenizer.eos_token_id]

    def spy(self, owner, name):
        """Keep the named tensors of each call of a method that a batch goes through."""
        calls, method = [], getattr(owner, name)

        def spied(*arguments, **named):
            found = next((one for one in arguments if isinstance(one, dict)), named)
            calls.append({k: v.clone() for k, v in found.items() if torch.is_tensor(v)})
            return method(*arguments, **named)

        self.monkeypatch.setattr(owner, name, spied)
        return calls


@pytest.fixture(params=CASES)
def world(request, tmp_path, monkeypatch):
    chat, prompt = CASES[request.param]
    tiny = TinyModel(tokenizer=partial(bytes_tokenizer, chat))
    base = base_policy(ModelConfig(path=str(save_model(tmp_path / "model", tiny))))
    tokenizer = bytes_tokenizer(chat)
    texts = [render_prompt(tokenizer, prompt, problem) for problem in PROBLEMS]
    return World(prompt, tokenizer, Bench(tmp_path, base, monkeypatch), monkeypatch, texts)


def unpadded(ids, mask):
    """The rows of a batch without padding, whichever side it is on."""
    rows = zip(ids, mask.bool(), strict=True)
    return sorted(row[kept].tolist() for row, kept in rows)


def requests():
    return [Request(f"p{at}", f"p{at}", problem, 1) for at, problem in enumerate(PROBLEMS)]


# The samplers, which evaluation asks as well


def test_transformers_samples_from_the_prompts_ids(world):
    calls = world.spy(Qwen2ForCausalLM, "generate")
    engine = TransformersEngine(TransformersEngineConfig(), world.prompt)
    engine.load(world.bench.base)
    engine.configure(Sampling(temperature=1.0, top_p=1.0, max_tokens=2, seed=0))
    calls.clear()  # configure draws a token
    for request in requests():
        engine.add(request)
    groups = engine.step()
    assert sorted(group.prompt for group in groups) == sorted(world.texts)
    assert unpadded(calls[0]["input_ids"], calls[0]["attention_mask"]) == sorted(world.ids())


def test_vllm_is_given_the_prompts_ids(world):
    """vLLM takes ids as they are; that its own answer has as many is tested with the engines."""
    given = []
    engine = VllmEngine(VllmEngineConfig(), world.prompt, lora=False)
    engine._tokenizer, engine._max_model_len, engine._params = world.tokenizer, 256, None
    engine._engine = SimpleNamespace(add_request=lambda *call, **_: given.append(call[1]))
    for request in requests():
        engine.add(request)
    assert [prompt["prompt_token_ids"] for prompt in given] == world.ids()


def test_a_bos_stands_there_once(world):
    bos = world.tokenizer.bos_token_id
    expected = 0 if bos is None else 1
    assert [ids.count(bos) for ids in world.ids()] == [expected] * len(PROBLEMS)
    if expected:
        doubled = world.tokenizer(world.texts[0])["input_ids"]
        assert doubled.count(bos) == 2, "the case no longer tests a BOS that is added twice"


# The trainers, token by token


COMPLETIONS = ["2", "12*7=84. So 84", "", "ß \\boxed{1}"]
OTHERS = ["3 or 4", "85", "x", "ß"]


def test_sft_learns_each_completion_and_its_end_and_nothing_of_the_prompt(world):
    calls = world.spy(PlannedSftTrainer, "compute_loss")
    rows = [
        SftRow(problem_id=f"p{at}", attempt=0, prompt=text, completion=COMPLETIONS[at], weight=1.0)
        for at, text in enumerate(world.texts)
    ]
    world.bench.train(SftConfig(**SHORT), rows)
    (seen,) = calls
    sides = list(zip(world.ids(), map(world.learned, COMPLETIONS), strict=True))
    labels = [[IGNORED] * len(head) + tail for head, tail in sides]
    assert unpadded(seen["input_ids"], seen["attention_mask"]) == sorted(h + t for h, t in sides)
    assert unpadded(seen["labels"], seen["attention_mask"]) == sorted(labels)
    assert (seen["labels"][seen["attention_mask"] == 0] == IGNORED).all()


def test_dpo_compares_each_completion_and_its_end_and_nothing_of_the_prompt(world):
    calls = world.spy(PlannedDpoTrainer, "_forward")
    rows = [
        DpoRow(
            problem_id=f"p{at}",
            chosen_attempt=0,
            rejected_attempt=1,
            prompt=text,
            chosen=COMPLETIONS[at],
            rejected=OTHERS[at],
        )
        for at, text in enumerate(world.texts)
    ]
    world.bench.train(DpoConfig(**SHORT), rows)
    assert len(calls) == 2  # the reference, and one step
    heads = world.ids()
    for seen in calls:
        halves = (slice(None, len(rows)), COMPLETIONS), (slice(len(rows), None), OTHERS)
        for half, completions in halves:
            sides = list(zip(heads, map(world.learned, completions), strict=True))
            masks = [[0] * len(head) + [1] * len(tail) for head, tail in sides]
            given = seen["attention_mask"][half]
            assert unpadded(seen["input_ids"][half], given) == sorted(h + t for h, t in sides)
            assert unpadded(seen["completion_mask"][half], given) == sorted(masks)
        assert not seen["completion_mask"][seen["attention_mask"] == 0].any()


def test_grpo_samples_from_the_prompts_ids_and_learns_on_them(world):
    sampled = world.spy(Qwen2ForCausalLM, "generate")
    learned = world.spy(PlannedGrpoTrainer, "_compute_loss")
    rows = [
        GrpoRow(problem_id=f"p{at}", problem=PROBLEMS[at], prompt=text, reference_answer="2")
        for at, text in enumerate(world.texts)
    ]
    config = GrpoConfig(max_tokens=4, group_size=2, **{**SHORT, "batch_size": 8})
    world.bench.train(config, rows)
    twice = sorted(world.ids() * 2)
    assert unpadded(sampled[0]["input_ids"], sampled[0]["attention_mask"]) == twice
    assert unpadded(learned[0]["prompt_ids"], learned[0]["prompt_mask"]) == twice
    end, mask = world.tokenizer.eos_token_id, learned[0]["completion_mask"]
    for ids, kept in zip(learned[0]["completion_ids"].tolist(), mask.tolist(), strict=True):
        length = ids.index(end) + 1 if end in ids else len(ids)
        assert kept == [1] * length + [0] * (len(ids) - length)


def test_rows_of_another_tokenizer_are_refused():
    row = make_row(prompt="user: 1+1\nassistant: ")
    tokenizer = bytes_tokenizer()
    tokens = len(prompt_token_ids(tokenizer, row.prompt))
    check_prompts(tokenizer, [row], {})
    check_prompts(tokenizer, [row], {"p0": tokens, "elsewhere": 1})
    with pytest.raises(InputError, match=f"problem p0 had 3 tokens .* has {tokens} for the model"):
        check_prompts(tokenizer, [row], {"p0": 3})
