"""A trainer in a process of its own: start it, follow it, explain its end.

The worker writes one JSON object per line to its standard output; what libraries print goes to the
log. On its standard input it gets the paths of its jobs, and nothing else: when this process dies,
that pipe ends and so does the worker, also below a launcher, which hands its workers the path as an
argument instead.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from ratchet.errors import InputError

_TAIL_LINES = 20
_QUIET = {
    "ACCELERATE_DISABLE_RICH": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
}


class TrainerDied(RuntimeError):
    """The trainer's process was killed; what it had saved is used when it is started again."""


class TrainerFailed(RuntimeError):
    """The trainer stopped with an error; it would stop with the same one again."""


class TrainingDiverged(TrainerFailed):
    """The loss became infinite or no number."""


_ASK_SECONDS = 60.0
"""For nvidia-smi to answer."""


@dataclass(frozen=True, slots=True)
class Devices:
    """GPUs to train on by their ids; none means the CPU."""

    gpus: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Processes that train, each on one device."""
        return max(len(self.gpus), 1)


def find_devices(wanted: int | None = None) -> Devices:
    """The GPUs that CUDA would show, at most `wanted`; found without importing torch.

    Raises:
        InputError: if there are GPUs, but fewer than `wanted`.
    """
    gpus = _visible_gpus()
    if wanted and gpus and wanted > len(gpus):
        raise InputError(
            f"trainer.devices={wanted}, but only {len(gpus)} GPUs are visible; lower it, or leave "
            "it out to use all"
        )
    return Devices(tuple(gpus[:wanted]))


def _visible_gpus() -> list[str]:
    installed = _installed_gpus()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or not installed:
        return installed
    chosen = []
    for gpu in (part.strip() for part in visible.split(",")):
        if not gpu or gpu == "-1":  # CUDA ignores all that follows an id that names no device.
            break
        chosen.append(gpu)
    return chosen


def _installed_gpus() -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=_ASK_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"nvidia-smi gave no answer in {_ASK_SECONDS:g} s, so it is not known which GPUs are "
            "here; the driver hangs: try `nvidia-smi -L`, and restart the machine if it hangs too"
        ) from None
    lines = [line for line in listing.stdout.splitlines() if line.startswith("GPU ")]
    return [str(index) for index in range(len(lines))]


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: `module` (run as `python -m`) with the path of its job file."""

    module: str
    job: Path
    devices: Devices
    log: Path
    accelerate_config: Path | None = None

    def command(self) -> list[str]:
        """One process on one device; accelerate's launcher where there are several.

        What is given here goes before what the config file says: it can't change the batch.
        """
        worker = ["-m", self.module, str(self.job)]
        if self.devices.count == 1:
            return [sys.executable, "-m", self.module]
        file = self.accelerate_config
        how = ["--multi_gpu"] if file is None else [f"--config_file={file.resolve()}"]
        launcher = ["-m", "accelerate.commands.launch", *how, "--num_machines=1", "--gpu_ids=all"]
        options = [f"--num_processes={self.devices.count}", "--main_process_port=0"]
        settled = ["--mixed_precision=no", "--dynamo_backend=no"]
        return [sys.executable, *launcher, *options, *settled, *worker]

    def environment(self) -> dict[str, str]:
        gpus = ",".join(self.devices.gpus)
        return {**os.environ, **_QUIET, "CUDA_VISIBLE_DEVICES": gpus}

    def start(self) -> subprocess.Popen[bytes]:
        """The process, which waits for its job on standard input where it is the only one."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command(),
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def give_job(self, process: subprocess.Popen[bytes]) -> bool:
        """Tell a waiting process its job; whether it is there to take it."""
        if self.devices.count > 1:
            return True
        assert process.stdin is not None
        try:
            process.stdin.write(f"{self.job}\n".encode())
            process.stdin.flush()
        except BrokenPipeError:
            return False
        return process.poll() is None


class WarmWorker:
    """A worker that has its imports behind it, or is at them, and waits for a job.

    Importing torch, transformers and TRL takes about 11 s on two cores. A worker started ahead does
    that beside sampling, and touches no device before it has its job. Where there is a GPU it ends
    with its job, to free the device; on the CPU it waits for the next one. Launchers of several
    processes start cold.
    """

    def __init__(self) -> None:
        self._waiting: tuple[str, Devices, subprocess.Popen[bytes]] | None = None

    def prepare(self, module: str, devices: Devices, log: Path) -> None:
        """Start a worker ahead, unless one waits already."""
        if self._waiting is None and devices.count == 1:
            self.keep(Launch(module, Path(), devices, log))

    def keep(self, launch: Launch, process: subprocess.Popen[bytes] | None = None) -> None:
        """Have a worker wait: `process`, or a new one."""
        self._waiting = (launch.module, launch.devices, process or launch.start())

    def holds(self, process: subprocess.Popen[bytes]) -> bool:
        return self._waiting is not None and self._waiting[2] is process

    def take(self, launch: Launch) -> subprocess.Popen[bytes] | None:
        """The waiting worker, with its job given to it; None if none waits that is fit for it."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return None
        module, devices, process = waiting
        if (module, devices) == (launch.module, launch.devices) and launch.give_job(process):
            return process
        _end(process)
        return None

    def close(self) -> None:
        """End the worker that waits."""
        if self._waiting:
            _end(self._waiting[2])
            self._waiting = None


Follow = Callable[[Mapping[str, Any]], None]
"""Takes each message of a worker."""


def run_worker(launch: Launch, follow: Follow, warm: WarmWorker | None = None) -> None:
    """Run a worker to its end: the one that waits in `warm`, or a new one.

    Raises:
        InputError: if the worker found that the user's input can't work.
        TrainingDiverged: if it stopped at a loss that is no number.
        TrainerFailed: if it stopped with any other error.
        TrainerDied: if it ended without saying why, as a process that was killed does.
    """
    error: Mapping[str, Any] | None = None
    code = 0
    launch.log.parent.mkdir(parents=True, exist_ok=True)
    process = _start(launch, warm)
    try:
        with launch.log.open("ab") as log:
            for message in _messages(process, log):
                if message["event"] == "waiting":
                    if warm:
                        warm.keep(launch, process)
                    return
                if message["event"] == "error":
                    error = error or message
                else:
                    follow(message)
        code = process.wait()
    finally:
        if not (warm and warm.holds(process)):
            _end(process)
    if error:
        _raise(error, launch.log)
    if code:
        raise TrainerDied(
            f"the trainer {_how_it_ended(code)} without an error of its own; if it was killed for "
            "memory, lower trainer.device_batch_size or trainer.max_length"
            f"\n{_tail(launch.log)}"
        )


def _start(launch: Launch, warm: WarmWorker | None) -> subprocess.Popen[bytes]:
    process = warm.take(launch) if warm else None
    if process is None:
        process = launch.start()
        launch.give_job(process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    # The pipe's end stops workers below a launcher as well.
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(BrokenPipeError):
                pipe.close()
    process.kill()
    process.wait()


def _messages(process: subprocess.Popen[bytes], log: IO[bytes]) -> Iterator[Mapping[str, Any]]:
    """The worker's messages; other lines, which a launcher may print, go to the log."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(b'{"event"'):
            yield json.loads(line)
        else:
            log.write(line)
            log.flush()


def _raise(error: Mapping[str, Any], log: Path) -> NoReturn:
    message = str(error["message"])
    match error["kind"]:
        case "input":
            raise InputError(message)
        case "diverged":
            raise TrainingDiverged(message)
        case _:
            raise TrainerFailed(f"the trainer stopped: {message}\n{_tail(log)}")


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    return "\n".join([f"the last lines of {log}:", *(f"  {line}" for line in lines)])
