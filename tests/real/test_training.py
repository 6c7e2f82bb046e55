"""One step of every kind of training on the real model, in bfloat16: its tokens and its weights."""

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from evals import stage as eval_stage
from evals.config import EvalConfig
from ratchet.generation.prompts import PromptConfig
from ratchet.problems.grading import GradingRules
from ratchet.records import Problem
from ratchet.store.artifacts import Store
from ratchet.verifier.grader import Grader
from samplers import stage as sample_stage
from samplers.config import DoSampleConfig, TransformersEngineConfig
from tests.helpers.real_lab import COMPLETIONS, PROBLEMS, WRONG, InProcess, Spy, kept

pytestmark = pytest.mark.real

KINDS = ["sft", "dpo", "grpo"]
WEIGHTS = ["lora", "full"]
END = "<|im_end|>"


def expected_prompts(tokenizer):
    """The prompts' token ids by the model's own chat template, without any code of ours."""
    chats = [[{"role": "user", "content": problem}] for problem in PROBLEMS]
    return tokenizer.apply_chat_template(chats, add_generation_prompt=True, return_dict=False)


def as_set(rows):
    return {tuple(row) for row in rows}


def test_the_chat_template_adds_a_system_message_by_itself(tokenizer):
    for ids in expected_prompts(tokenizer):
        text = tokenizer.decode(ids)
        assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
        assert text.count("<|im_start|>") == 3


def test_sampler_and_eval_ask_with_the_templates_tokens(real, tokenizer, tmp_path, monkeypatch):
    spy = Spy(monkeypatch, LlamaForCausalLM, "generate")
    completer, store = InProcess("bfloat16"), Store(tmp_path)
    problems = [
        Problem(problem_id=f"p{at}", problem=problem, reference_answer="7")
        for at, problem in enumerate(PROBLEMS)
    ]
    shared = {
        "problems": problems,
        "problems_fingerprint": "problems",
        "policy": real,
        "completer": completer,
        "seed": 0,
    }
    asked = sample_stage.SampleInputs(
        prompt=PromptConfig(), engine=TransformersEngineConfig(), iteration=0, **shared
    )
    drawing = DoSampleConfig(group_size=2, max_tokens=1)
    store.build(
        sample_stage.spec(drawing, asked), lambda out: sample_stage.run(drawing, asked, out)
    )
    sampled = prompts_of(spy)
    with Grader() as grader:
        judged = eval_stage.EvalInputs(
            benchmark="dev", rules=GradingRules(), grader=grader, decoding={}, **shared
        )
        greedy = EvalConfig(max_tokens=1)
        spec = eval_stage.spec(greedy, judged)
        store.build(spec, lambda out: eval_stage.run(greedy, judged, out))
    assert sampled == prompts_of(spy) == as_set(expected_prompts(tokenizer))


def prompts_of(spy):
    """What the model was asked with since the last look; `configure` asks with a single token."""
    calls = [call for call in spy.calls if call["input_ids"].shape[1] > 1]
    spy.calls.clear()
    assert calls
    return as_set(row for call in calls for row in kept(call["input_ids"], call["attention_mask"]))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_made_on_the_templates_tokens(lab, tokenizer, kind, weights):
    _, learned = lab.train(kind, weights)
    assert as_set(learned.prompts) == as_set(expected_prompts(tokenizer))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_learned_decodes_to_the_completion_and_its_end(lab, tokenizer, kind, weights):
    artifact, learned = lab.train(kind, weights)
    texts = sorted(tokenizer.decode(ids) for ids in learned.completions)
    if kind == "grpo":
        rows = pq.read_table(artifact.path / "rewards.parquet").to_pylist()
        ends = {"stop": END, "length": ""}
        expected = [row["completion"] + ends[row["finish_reason"]] for row in rows]
    else:
        expected = [text + END for text in COMPLETIONS + (WRONG if kind == "dpo" else [])]
    assert texts == sorted(expected)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_in_bfloat16_changes_the_weights_and_they_stay_finite(lab, real, kind, weights):
    artifact, _ = lab.train(kind, weights)
    assert artifact.metrics["steps"] == 1
    name = "adapter_model.safetensors" if weights == "lora" else "model.safetensors"
    trained = load_file(artifact.path / "checkpoint" / name)
    assert all(values.dtype == torch.bfloat16 for values in trained.values())
    assert all(torch.isfinite(values).all() for values in trained.values())
    if weights == "lora":
        # The factor B is 0 before the first step.
        factors = [values for key, values in trained.items() if "lora_B" in key]
        assert len(factors) == 30 * 7, "seven linear layers in each of thirty blocks"
        assert all(values.any() for values in factors)
    else:
        before = load_file(f"{real.model}/model.safetensors")
        assert trained.keys() == before.keys()
        changed = [not torch.equal(trained[key], before[key]) for key in before]
        share = sum((trained[key] != before[key]).sum().item() for key in before)
        share /= sum(values.numel() for values in before.values())
        print(
            f"{kind}: {sum(changed)} of {len(changed)} tensors, {share:.0%} of the weights changed"
        )
        assert sum(changed) > 0.9 * len(changed)
