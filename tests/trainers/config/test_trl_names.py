"""Names that TRL and transformers know, read from their source."""

from dataclasses import fields

import pytest
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from ratchet.errors import InputError
from ratchet.installed import enum_values
from trainers.config import DpoConfig, GrpoConfig, SftConfig
from trainers.config.trl_names import trl_arguments
from trainers.launch.machine_check import check_environment


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
    ("config", "told"),
    [
        (SftConfig(args={"adam_beta": 0.9}), "trainer.args: 'adam_beta' is no argument of SFTConf"),
        (DpoConfig(args={"top_k": 5}), "trainer.args: 'top_k' is no argument of DPOConfig"),
        (SftConfig(optimizer="adamw"), "trainer: 'adamw' is no optimizer"),
        (GrpoConfig(lr_scheduler="cosin"), "did you mean 'cosine'"),
    ],
)
def test_a_name_that_trl_would_refuse_after_sampling_is_refused_at_the_start(config, told):
    with pytest.raises(InputError, match=told):
        check_environment(config)
    check_environment(GrpoConfig(args={"top_k": 5}))
