"""What only a GPU can show. None of it has ever run: no machine of ours had one.

Written against the same parts that the other tests here run on a CPU, so that the first machine
with a GPU has something to start from. A failure here may be the test's own.
"""

import pytest
import torch
from safetensors.torch import load_file

from ratchet.generation.engine import Request, RequestQueue, Sampling
from ratchet.generation.prompts import PromptConfig
from samplers.config import VllmEngineConfig
from samplers.serving.client import EngineClient
from tests.helpers.real_lab import DRAWN, PROBLEMS, SHORT, WEIGHTS
from trainers.config import GrpoConfig, LoraConfig, SftConfig

pytestmark = [
    pytest.mark.real,
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason="needs an NVIDIA GPU; this test has never run on one",
    ),
]


def assert_trained(artifact, name):
    assert artifact.metrics["steps"] == 1
    trained = load_file(artifact.path / "checkpoint" / name)
    assert all(torch.isfinite(values).all() for values in trained.values())


@pytest.fixture
def bench(lab):
    """Trains in a process of its own, which gives the GPU back when it ends."""
    lab.bench.in_a_worker()
    yield lab.bench
    lab.bench.in_this_process()


def test_vllm_samples_on_a_gpu_and_goes_on_after_it_gave_its_memory_back(real, tmp_path):
    config = VllmEngineConfig(dtype="bfloat16", max_model_len=1024, gpu_memory_utilization=0.4)
    greedy = Sampling(temperature=0.0, top_p=1.0, max_tokens=32, seed=0)
    asked = [Request(str(at), str(at), problem, 1) for at, problem in enumerate(PROBLEMS)]

    def answers():
        groups = client.generate(real, greedy, RequestQueue(asked))
        return {group.problem_id: group.outputs for group in groups}

    with EngineClient(config, PromptConfig(), tmp_path / "vllm.log") as client:
        before = answers()
        taken = torch.cuda.mem_get_info()[0]
        client.release_device()
        assert torch.cuda.mem_get_info()[0] > taken
        after = answers()
    assert after == before
    assert all(output.completion for (output,) in before.values())


@pytest.mark.parametrize("weights", ["lora", "full"])
def test_a_step_of_sft_in_bfloat16(lab, bench, weights):
    config = SftConfig(batch_size=2, **SHORT, **WEIGHTS[weights])
    artifact = bench.train(config, lab.sft_rows(), store=f"gpu-{weights}")
    name = "adapter_model.safetensors" if weights == "lora" else "model.safetensors"
    assert_trained(artifact, name)


def test_a_step_of_sft_on_weights_of_four_bits(lab, bench):
    pytest.importorskip("bitsandbytes", reason="QLoRA needs bitsandbytes")
    lora = LoraConfig(rank=8, alpha=16, quantize="4bit")
    config = SftConfig(batch_size=2, lora=lora, learning_rate=5e-3, **SHORT)
    artifact = bench.train(config, lab.sft_rows(), store="gpu-qlora")
    assert_trained(artifact, "adapter_model.safetensors")


def test_a_step_of_grpo_that_samples_with_vllm(lab, bench):
    config = GrpoConfig(generation="vllm_colocate", **SHORT, **WEIGHTS["full"], **DRAWN)
    artifact = bench.train(config, lab.grpo_rows(), store="gpu-grpo")
    assert_trained(artifact, "model.safetensors")
