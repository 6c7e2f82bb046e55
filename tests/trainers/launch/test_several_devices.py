"""More than one device: accelerate's config files, and the command that is given them."""

from dataclasses import replace
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_multi_gpu_env

from ratchet.config import identity_settings
from ratchet.errors import InputError
from tests.helpers.places import CONFIGS
from trainers.config import DpoConfig, LoraConfig, SftConfig
from trainers.launch import accelerate_files as accelerate_files
from trainers.launch import machine_check as machine_check
from trainers.launch.machine_check import check_environment
from trainers.launch.process import Devices, Launch

SHIPPED = CONFIGS / "accelerate"
FSDP, ZERO = SHIPPED / "fsdp.yaml", SHIPPED / "deepspeed_zero3.yaml"
FOUR = Devices(("0", "1", "2", "3"))


@pytest.fixture(autouse=True)
def four_gpus_and_deepspeed(monkeypatch):
    monkeypatch.setattr(machine_check, "find_devices", lambda wanted: FOUR)
    monkeypatch.setattr(accelerate_files, "find_spec", lambda name: True)


def launched(path):
    """What accelerate's launcher reads out of our command."""
    launch = Launch("trainers.worker_main", Path("/job.json"), FOUR, Path("/log"), path)
    command = launch.program().command()
    at = command.index("accelerate.commands.launch") + 1
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(command[at:]))
    return arguments


@pytest.mark.parametrize("path", sorted(SHIPPED.iterdir()), ids=lambda path: path.stem)
def test_accelerate_reads_each_shipped_file(path):
    assert isinstance(load_config_from_file(str(path)), ClusterConfig)
    assert check_environment(SftConfig(accelerate_config=path)) == FOUR


def test_without_a_file_each_gpu_holds_all_weights():
    found = launched(None)
    assert (found.multi_gpu, found.use_fsdp, found.use_deepspeed) == (True, False, False)
    assert (found.num_processes, found.mixed_precision) == (4, "no")
    assert found.training_script_args == ["/job.json"]


def test_fsdp_gets_its_settings_and_our_number_of_processes(monkeypatch):
    found = launched(FSDP)
    assert (found.multi_gpu, found.use_fsdp, found.use_deepspeed) == (False, True, False)
    assert (found.num_processes, found.num_machines) == (4, 1)
    for name, value in prepare_multi_gpu_env(found).items():
        if name.startswith(("FSDP_", "ACCELERATE_")):
            monkeypatch.setenv(name, value)
    plugin = FullyShardedDataParallelPlugin()
    assert (plugin.fsdp_version, plugin.reshard_after_forward) == (2, True)
    assert "FULL_STATE_DICT" in str(plugin.state_dict_type)


def test_deepspeed_gets_its_settings_and_our_number_of_processes():
    found = launched(ZERO)
    assert (found.multi_gpu, found.use_fsdp, found.use_deepspeed) == (False, False, True)
    assert (found.num_processes, found.zero_stage, found.zero3_save_16bit_model) == (4, 3, True)
    assert found.gradient_accumulation_steps == "auto"


def test_one_device_needs_no_launcher():
    launch = Launch("trainers.worker_main", Path("/j"), Devices(("0",)), Path("/l"), FSDP)
    assert "accelerate.commands.launch" not in launch.program().command()
    assert "accelerate.commands.launch" in replace(launch, devices=FOUR).program().command()


@pytest.mark.parametrize("path", [FSDP, ZERO], ids=["fsdp", "deepspeed"])
@pytest.mark.parametrize(
    ("config", "told"),
    [
        (DpoConfig(), "dpo asks the reference before the weights are split"),
        (SftConfig(carry_optimizer=True), "carry_optimizer = false"),
    ],
    ids=["dpo", "carry_optimizer"],
)
def test_what_cannot_be_split_is_refused(path, config, told):
    with pytest.raises(InputError, match=told):
        check_environment(config.model_copy(update={"accelerate_config": path}))


def test_quantized_weights_are_not_split(monkeypatch):
    monkeypatch.setattr(machine_check, "find_spec", lambda name: True)
    config = SftConfig(lora=LoraConfig(quantize="4bit"), accelerate_config=FSDP)
    with pytest.raises(InputError, match="can't split quantized weights"):
        check_environment(config)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("distributed_type: TPU", "'TPU', which is none of MULTI_GPU, FSDP, DEEPSPEED"),
        ("a: [", "can't be read"),
        ("just words", "no table of settings"),
        ("", "no table of settings"),
        (
            "distributed_type: DEEPSPEED\ndeepspeed_config: {gradient_accumulation_steps: 4}",
            "gradient_accumulation_steps = 4 would change the batch",
        ),
        (
            "distributed_type: DEEPSPEED\ndeepspeed_config: {zero_stage: 3}",
            "the checkpoint can't be written",
        ),
    ],
)
def test_a_file_that_cannot_work_is_told_before_the_training(tmp_path, text, told):
    path = tmp_path / "accelerate.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        check_environment(SftConfig(accelerate_config=path))


def test_what_is_not_there_is_told(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"gone.yaml.*can't be read"):
        check_environment(SftConfig(accelerate_config=tmp_path / "gone.yaml"))
    monkeypatch.setattr(accelerate_files, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="DeepSpeed is not installed"):
        check_environment(SftConfig(accelerate_config=ZERO))


def test_where_the_weights_lie_is_not_what_they_become():
    settings = [identity_settings(SftConfig(accelerate_config=path)) for path in (None, FSDP)]
    assert settings[0] == settings[1]
