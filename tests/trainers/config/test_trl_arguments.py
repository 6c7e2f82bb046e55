"""What TRL is given of each kind's settings, and what users can't give it beside them."""

from types import SimpleNamespace
from typing import Annotated

import pytest
import torch

from ratchet.config import Config
from trainers.config import DpoConfig, GrpoConfig, SftConfig, parse_trainer
from trainers.config.trl_arguments import (
    DecidesTrl,
    TrlArgument,
    decided_arguments,
    given_arguments,
)
from trainers.config.trl_names import trl_arguments
from trainers.dpo import training as dpo
from trainers.grpo import training as grpo
from trainers.loop import common
from trainers.sft import training as sft

KINDS = {"sft": SftConfig, "dpo": DpoConfig, "grpo": GrpoConfig}
JOB = SimpleNamespace(state_folder="state", seed=5, name="iteration-0")
PLAN = SimpleNamespace(
    steps=15, split=SimpleNamespace(device_batch_size=4, accumulation_steps=2, batch_size=8)
)
SCORER = SimpleNamespace(weights={"correct": 1.0, "format": 0.25})

OTHERWISE = {
    "learning_rate": 3e-4,
    "lr_scheduler": "linear",
    "warmup_ratio": 0.1,
    "optimizer": "sgd",
    "weight_decay": 0.5,
    "max_grad_norm": 0.0,
    "batch_size": 8,
    "device_batch_size": 4,
    "max_steps": 15,
    "max_length": 64,
    "gradient_checkpointing": True,
    "liger": True,
    "dtype": "bfloat16",
    "save_steps": 5,
    "report_to": ["tensorboard"],
    "args": {"adam_beta2": 0.95},
}
"""Every shared setting with another value than its default."""

SHARED = {
    "bf16": False,
    "dataloader_pin_memory": False,
    "ddp_find_unused_parameters": False,
    "disable_tqdm": True,
    "gradient_accumulation_steps": 2,
    "gradient_checkpointing": False,
    "logging_nan_inf_filter": False,
    "logging_strategy": "no",
    "lr_scheduler_type": "cosine",
    "max_grad_norm": 1.0,
    "max_steps": 15,
    "optim": "adamw_torch_fused",
    "output_dir": "state",
    "per_device_eval_batch_size": 4,
    "per_device_train_batch_size": 4,
    "report_to": "none",
    "run_name": "iteration-0",
    "save_steps": 15,
    "save_strategy": "no",
    "save_total_limit": 2,
    "seed": 5,
    "use_cpu": True,
    "use_liger_kernel": False,
    "warmup_steps": 0,
    "weight_decay": 0.0,
}
"""What every kind's arguments are by default, on a machine without a GPU."""
SHARED_OTHERWISE = {
    **SHARED,
    "adam_beta2": 0.95,
    "bf16": True,
    "gradient_checkpointing": True,
    "learning_rate": 3e-4,
    "logging_strategy": "steps",
    "lr_scheduler_type": "linear",
    "max_grad_norm": 0.0,
    "optim": "sgd",
    "report_to": ["tensorboard"],
    "save_steps": 5,
    "save_strategy": "steps",
    "use_liger_kernel": True,
    "warmup_steps": 2,
    "weight_decay": 0.5,
}
SFT = {
    "dataset_kwargs": {"skip_prepare_dataset": True},
    "learning_rate": 1e-5,
    "max_length": None,
    "neftune_noise_alpha": None,
    "padding_free": False,
}
DPO = {
    "disable_dropout": True,
    "learning_rate": 7e-7,
    "max_length": None,
    "precompute_ref_log_probs": True,
}
GRPO = {
    "beta": 0.0,
    "generation_kwargs": {"remove_invalid_values": True},
    "learning_rate": 1e-6,
    "loss_type": "dapo",
    "max_completion_length": 512,
    "num_generations": 8,
    "reward_weights": [1.0, 0.25],
    "scale_rewards": "group",
    "temperature": 1.0,
    "use_vllm": False,
    "vllm_mode": "colocate",
}
STOPPING = {
    "eval_steps": 7,
    "eval_strategy": "steps",
    "greater_is_better": False,
    "load_best_model_at_end": True,
    "metric_for_best_model": "eval_loss",
    "save_steps": 7,
    "save_strategy": "steps",
}

CASES = [
    ({"kind": "sft"}, {**SHARED, **SFT}),
    (
        {"kind": "sft", "neftune_noise_alpha": 5.0, "padding_free": True, **OTHERWISE},
        {**SFT, **SHARED_OTHERWISE, "neftune_noise_alpha": 5.0, "padding_free": True},
    ),
    ({"kind": "sft", "early_stopping": {"every_steps": 7}}, {**SHARED, **SFT, **STOPPING}),
    ({"kind": "dpo"}, {**SHARED, **DPO}),
    (
        {"kind": "dpo", "beta": 2.0, "label_smoothing": 0.1, "reference": "base", **OTHERWISE},
        {**DPO, **SHARED_OTHERWISE},
    ),
    ({"kind": "dpo", "lora": {"dropout": 0.1}}, {**SHARED, **DPO, "disable_dropout": False}),
    ({"kind": "grpo"}, {**SHARED, **GRPO}),
    (
        {
            "kind": "grpo",
            "group_size": 4,
            "max_tokens": 32,
            "temperature": 0.7,
            "generation": "vllm_server",
            "loss": "grpo",
            "scale_rewards": "none",
            "beta": 0.04,
            **OTHERWISE,
        },
        {
            **GRPO,
            **SHARED_OTHERWISE,
            "generation_kwargs": None,
            "loss_type": "grpo",
            "max_completion_length": 32,
            "num_generations": 4,
            "scale_rewards": "none",
            "temperature": 0.7,
            "use_vllm": True,
            "vllm_mode": "server",
        },
    ),
    (
        {"kind": "grpo", "beta": 0.04, "lora": {}, "generation": "vllm_colocate"},
        {**SHARED, **GRPO, "beta": 0.04, "generation_kwargs": None, "use_vllm": True},
    ),
]


def arguments_of(config):
    own = {
        "sft": sft.own_arguments,
        "dpo": lambda: dpo.own_arguments(config),
        "grpo": lambda: grpo.own_arguments(config, SCORER),
    }[config.kind]()
    return common.trl_settings(dict, config, PLAN, JOB, own)


@pytest.mark.parametrize(("tables", "given"), CASES)
def test_trl_is_given_what_it_was_before_the_marks(tables, given, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(common, "holds_device", lambda: False)
    assert arguments_of(parse_trainer(tables)) == given


@pytest.mark.parametrize("kind", KINDS)
def test_trl_knows_every_argument_that_a_setting_is(kind):
    assert set(given_arguments(KINDS[kind]())) <= trl_arguments(kind)


@pytest.mark.parametrize(("kind", "gone"), [("sft", ()), ("dpo", ()), ("grpo", ("max_length",))])
def test_trl_knows_every_argument_that_is_refused(kind, gone):
    """All but an old name, and one that GRPO's class has not."""
    assert set(KINDS[kind].owned_args()) - trl_arguments(kind) == {"warmup_ratio", *gone}


@pytest.mark.parametrize(
    ("kind", "argument", "by"),
    [
        ("sft", "learning_rate", "learning_rate"),
        ("sft", "optim", "optimizer"),
        ("sft", "fp16", "dtype"),
        ("sft", "seed", "the run's seed"),
        ("sft", "warmup_ratio", "warmup_ratio"),
        ("sft", "padding_free", "padding_free"),
        ("dpo", "gradient_accumulation_steps", "batch_size"),
        ("dpo", "sync_ref_model", "reference"),
        ("dpo", "truncation_mode", "max_length: a longer pair is dropped"),
        ("grpo", "lr_scheduler_type", "lr_scheduler"),
        ("grpo", "gradient_accumulation_steps", "batch_size"),
        ("grpo", "steps_per_generation", "batch_size"),
        ("grpo", "num_generations", "group_size"),
        ("grpo", "vllm_mode", "generation"),
        ("grpo", "num_iterations", "the trainer itself: every step samples anew"),
    ],
)
def test_a_refused_argument_names_what_decides_it(kind, argument, by):
    with pytest.raises(ValueError, match=rf"args\.{argument} is decided by {by}[ \n]"):
        parse_trainer({"kind": kind, "args": {argument: 1}})


class Rates(Config):
    rate: Annotated[float, TrlArgument("learning_rate")] = 1.0
    precision: Annotated[str, DecidesTrl("bf16", "fp16")] = "auto"


class OtherRates(Rates):
    rate: float = 2.0


def test_a_mark_gives_what_is_passed_on_and_what_is_refused():
    assert given_arguments(Rates()) == {"learning_rate": 1.0}
    assert decided_arguments(Rates) == {
        "learning_rate": "rate",
        "bf16": "precision",
        "fp16": "precision",
    }


def test_a_field_with_another_default_keeps_its_mark():
    assert given_arguments(OtherRates()) == {"learning_rate": 2.0}
