"""Whether this machine has what an engine's settings ask for; found without importing torch."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import assert_never

from ratchet.errors import InputError
from samplers.config import (
    EngineConfig,
    OpenAIEngineConfig,
    ReplayEngineConfig,
    TransformersEngineConfig,
    VllmEngineConfig,
)
from trainers.launch.process import find_devices


def check_engine(config: EngineConfig) -> None:
    """Whether this machine has what the engine's settings ask for.

    Raises:
        InputError: if it has not.
    """
    match config:
        case VllmEngineConfig():
            _check_vllm(config)
        case TransformersEngineConfig():
            _check_device(config.device)
        case ReplayEngineConfig():
            pass
        case OpenAIEngineConfig():
            _check_openai()
        case _:
            assert_never(config)


def _check_vllm(config: VllmEngineConfig) -> None:
    if find_spec("vllm") is None:
        raise InputError(
            'engine.kind = "vllm" needs vllm, which is not installed; pip install vllm, or set it '
            'to "transformers"'
        )
    gpus = find_devices().gpus
    if gpus and config.tensor_parallel_size > len(gpus):
        raise InputError(
            f"engine.tensor_parallel_size = {config.tensor_parallel_size}, but only {len(gpus)} "
            "GPUs are visible; lower it"
        )


def _check_openai() -> None:
    """The package alone: a server is first spoken to when something is asked of it."""
    if find_spec("openai") is None:
        raise InputError(
            'engine.kind = "openai" needs the package openai, which is not installed; pip install '
            "openai"
        )


def _check_device(device: str) -> None:
    kind, _, index = device.partition(":")
    if kind == "mps" and sys.platform != "darwin":
        raise InputError('engine.device = "mps" is Apple\'s, and this is no Mac; set it to "auto"')
    if kind != "cuda" or _hides_gpus():
        return
    gpus = find_devices().gpus
    if not gpus:
        raise InputError(
            f'engine.device = "{device}" needs a GPU, and none is visible; set it to "auto" or '
            '"cpu"'
        )
    if index and int(index) >= len(gpus):
        raise InputError(
            f'engine.device = "{device}", but the {len(gpus)} visible GPUs are counted from 0; '
            f'set it to "cuda:{len(gpus) - 1}" or a lower one'
        )


def _hides_gpus() -> bool:
    """Whether there may be a GPU that can't be counted: AMD's, or in a container without tools."""
    if shutil.which("nvidia-smi"):
        return False
    devices = Path("/dev")
    return (devices / "kfd").exists() or any(devices.glob("nvidia[0-9]*"))
