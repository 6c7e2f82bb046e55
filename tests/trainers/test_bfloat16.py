"""Training that computes in bfloat16, on a CPU too."""

import pytest
import torch

from ratchet.records import DpoRow, GrpoRow
from tests.helpers.training_bench import make_rows, weights_of
from trainers.config import parse_trainer

ROWS = {
    "sft": make_rows(8),
    "dpo": [
        DpoRow(
            problem_id=f"p{i}",
            chosen_attempt=0,
            rejected_attempt=1,
            prompt=f"user: {i}+1\nassistant: ",
            chosen=str(i + 1),
            rejected=str(i),
        )
        for i in range(8)
    ],
    "grpo": [
        GrpoRow(
            problem_id=f"p{i}",
            problem=f"{i}+1",
            prompt=f"user: {i}+1\nassistant: ",
            reference_answer=str(i + 1),
        )
        for i in range(4)
    ],
}
OWN = {"sft": {}, "dpo": {}, "grpo": {"group_size": 4, "max_tokens": 4}}


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
@pytest.mark.parametrize("lora", [None, {"rank": 4}], ids=["full", "lora"])
@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
def test_bfloat16_trains_on_a_cpu_and_is_what_the_checkpoint_is_written_in(bench, kind, lora):
    settings = {"max_steps": 1, "batch_size": 4, "max_length": 64, "dtype": "bfloat16"}
    config = parse_trainer({"kind": kind, "lora": lora, **settings, **OWN[kind]})
    artifact = bench.train(config, ROWS[kind])
    name = "adapter_model.safetensors" if lora else "model.safetensors"
    assert {weights.dtype for weights in weights_of(artifact, name).values()} == {torch.bfloat16}
