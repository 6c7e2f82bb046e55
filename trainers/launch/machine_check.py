"""Whether this machine has what a trainer's settings ask for; found without importing torch."""

from __future__ import annotations

from importlib.util import find_spec

from ratchet.config_errors import listed
from ratchet.errors import InputError
from trainers.config import AnyTrainer, GrpoConfig, SftConfig
from trainers.config.base import TrainerBase
from trainers.config.trl_names import unknown_arguments, unknown_choices
from trainers.launch.accelerate_files import accelerate_lacks
from trainers.launch.process import Devices, find_devices

_TRACKERS = {
    "clearml": ("clearml",),
    "codecarbon": ("codecarbon",),
    "comet_ml": ("comet_ml",),
    "dagshub": ("dagshub",),
    "dvclive": ("dvclive",),
    "flyte": ("flytekit",),
    "kubeflow": ("kubeflow",),
    "mlflow": ("mlflow",),
    "neptune": ("neptune",),
    "swanlab": ("swanlab",),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "trackio": ("trackio",),
    "wandb": ("wandb",),
}
"""What transformers reports to, and the modules of which it needs one."""


def check_environment(config: AnyTrainer) -> Devices:
    """The devices to train on.

    Raises:
        InputError: if there are too few GPUs, a library is missing or does not know what the
            settings name, or a config file of accelerate's does not fit.
    """
    devices = find_devices(config.devices)
    lacks = [
        *_trl_lacks(config),
        *_quantization_lacks(config, devices),
        *_liger_lacks(config, devices),
        *_padding_free_lacks(config, devices),
        *_vllm_lacks(config, devices),
        *_tracker_lacks(config),
        *accelerate_lacks(config),
    ]
    if lacks:
        raise InputError("\n".join(lacks))
    return devices


def _trl_lacks(config: AnyTrainer) -> list[str]:
    unknown = unknown_arguments(config.args, config.kind)
    return [
        *(f"trainer.args: {line}" for line in unknown),
        *(f"trainer: {line}" for line in unknown_choices(config.optimizer, config.lr_scheduler)),
    ]


def _quantization_lacks(config: TrainerBase, devices: Devices) -> list[str]:
    if config.lora is None or config.lora.quantize == "none":
        return []
    asked = f'trainer.lora.quantize = "{config.lora.quantize}"'
    if not devices.gpus:
        return [f'{asked} needs a GPU, and none is visible; set it to "none"']
    if find_spec("bitsandbytes") is None:
        return [f'{asked} needs bitsandbytes; pip install bitsandbytes, or set it to "none"']
    return []


def _liger_lacks(config: TrainerBase, devices: Devices) -> list[str]:
    if not config.liger:
        return []
    if not devices.gpus:
        return ["trainer.liger = true needs a GPU, and none is visible; set it to false"]
    if find_spec("liger_kernel") is None:
        return [
            "trainer.liger = true needs liger-kernel; pip install liger-kernel, or set it to false"
        ]
    return []


def _padding_free_lacks(config: TrainerBase, devices: Devices) -> list[str]:
    if not (isinstance(config, SftConfig) and config.padding_free and devices.gpus):
        return []
    if find_spec("flash_attn") is None:
        return [
            "trainer.padding_free = true needs flash-attn on a GPU; pip install flash-attn, or set "
            "it to false: batches of rows of like length have little padding"
        ]
    return []


def _vllm_lacks(config: TrainerBase, devices: Devices) -> list[str]:
    if not isinstance(config, GrpoConfig) or config.generation == "transformers":
        return []
    asked = f'trainer.generation = "{config.generation}"'
    if not devices.gpus:
        return [f'{asked} needs a GPU, and none is visible; set it to "transformers"']
    if find_spec("vllm") is None:
        return [f'{asked} needs vllm; pip install vllm, or set it to "transformers"']
    return []


def _tracker_lacks(config: TrainerBase) -> list[str]:
    lacks = []
    for tracker in config.report_to:
        modules = _TRACKERS.get(tracker)
        asked = f'trainer.report_to names "{tracker}", which'
        if modules is None:
            lacks.append(f"{asked} transformers does not know; choose from {listed(_TRACKERS)}")
        elif not any(map(find_spec, modules)):
            lacks.append(f"{asked} needs {modules[0]}; pip install {modules[0]}, or leave it out")
    return lacks
