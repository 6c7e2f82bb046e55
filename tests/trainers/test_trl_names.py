"""Names that TRL and transformers know, read from their source."""

from dataclasses import fields

import pytest
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from ratchet.config import parse_config
from ratchet.errors import InputError
from ratchet.installed import enum_values
from trainers.config import DpoConfig, GrpoConfig, SftConfig
from trainers.trl_names import trl_arguments


@pytest.mark.parametrize("kind", ["sft", "dpo", "grpo"])
def test_the_arguments_are_those_of_trls_class(kind):
    import trl

    known = {field.name for field in fields(getattr(trl, f"{kind.upper()}Config")) if field.init}
    assert trl_arguments(kind) == known


def test_optimizers_and_schedules_are_those_of_transformers():
    optimizers = enum_values("transformers", "training_args.py", "OptimizerNames")
    schedules = enum_values("transformers", "trainer_utils.py", "SchedulerType")
    assert optimizers == {each.value for each in OptimizerNames}
    assert schedules == {each.value for each in SchedulerType}


@pytest.mark.parametrize(
    ("config", "tables", "told"),
    [
        (SftConfig, {"args": {"adam_beta": 0.9}}, "args: 'adam_beta' is no argument of SFTConfig"),
        (DpoConfig, {"args": {"top_k": 5}}, "args: 'top_k' is no argument of DPOConfig"),
        (SftConfig, {"optimizer": "adamw"}, "optimizer: 'adamw' is no optimizer"),
        (GrpoConfig, {"lr_scheduler": "cosin"}, "did you mean 'cosine'?"),
    ],
)
def test_a_name_that_trl_would_refuse_after_sampling_is_refused_at_the_start(config, tables, told):
    with pytest.raises(InputError, match=told):
        parse_config(config, tables, "the config")
    assert GrpoConfig(args={"top_k": 5}).args == {"top_k": 5}
