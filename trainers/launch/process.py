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
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from ratchet.errors import InputError
from ratchet.processes.child import Child, Program, child_environment, how_it_ended, indented

_TAIL_LINES = 20
_LAUNCHER = "accelerate.commands.launch"
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

    def program(self) -> Program:
        """One process on one device; accelerate's launcher where there are several.

        It stays in the terminal's session, and its workers end with the pipe that is its input.
        """
        several = self.devices.count > 1
        return Program(
            module=_LAUNCHER if several else self.module,
            arguments=self._launched() if several else (),
            environment=self.environment(),
            log=self.log,
            output="pipe",
            own_session=False,
        )

    def _launched(self) -> tuple[str, ...]:
        """The launcher's arguments.

        What is given here goes before what the config file says: it can't change the batch.
        """
        file = self.accelerate_config
        how = "--multi_gpu" if file is None else f"--config_file={file.resolve()}"
        options = [f"--num_processes={self.devices.count}", "--main_process_port=0"]
        settled = ["--mixed_precision=no", "--dynamo_backend=no"]
        worker = ["-m", self.module, str(self.job)]
        return (how, "--num_machines=1", "--gpu_ids=all", *options, *settled, *worker)

    def environment(self) -> dict[str, str]:
        gpus = ",".join(self.devices.gpus)
        return child_environment({**_QUIET, "CUDA_VISIBLE_DEVICES": gpus})

    def start(self) -> Child:
        """The process, which waits for its job on standard input where it is the only one."""
        return Child(self.program())

    def give_job(self, process: Child) -> bool:
        """Tell a waiting process its job; whether it is there to take it."""
        if self.devices.count > 1:
            return True
        try:
            process.input.write(f"{self.job}\n".encode())
            process.input.flush()
        except BrokenPipeError:
            return False
        return process.exit_code() is None


class WarmWorker:
    """A worker that has its imports behind it, or is at them, and waits for a job.

    Importing torch, transformers and TRL takes about 11 s on two cores. A worker started ahead does
    that beside sampling, and touches no device before it has its job. Where there is a GPU it ends
    with its job, to free the device; on the CPU it waits for the next one. Launchers of several
    processes start cold.
    """

    def __init__(self) -> None:
        self._waiting: tuple[str, Devices, Child] | None = None

    def prepare(self, module: str, devices: Devices, log: Path) -> None:
        """Start a worker ahead, unless one waits already."""
        if self._waiting is None and devices.count == 1:
            self.keep(Launch(module, Path(), devices, log))

    def keep(self, launch: Launch, process: Child | None = None) -> None:
        """Have a worker wait: `process`, or a new one."""
        self._waiting = (launch.module, launch.devices, process or launch.start())

    def holds(self, process: Child) -> bool:
        return self._waiting is not None and self._waiting[2] is process

    def take(self, launch: Launch) -> Child | None:
        """The waiting worker, with its job given to it; None if none waits that is fit for it."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return None
        module, devices, process = waiting
        if (module, devices) == (launch.module, launch.devices) and launch.give_job(process):
            return process
        process.kill()
        return None

    def close(self) -> None:
        """End the worker that waits."""
        if self._waiting:
            self._waiting[2].kill()
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
            process.kill()
    if error:
        _raise(error, process, launch.log)
    if code:
        raise TrainerDied(
            f"the trainer {how_it_ended(code)} without an error of its own; if it was killed for "
            "memory, lower trainer.device_batch_size or trainer.max_length"
            f"\n{_tail(process, launch.log)}"
        )


def _start(launch: Launch, warm: WarmWorker | None) -> Child:
    process = warm.take(launch) if warm else None
    if process is None:
        process = launch.start()
        launch.give_job(process)
    return process


def _messages(process: Child, log: IO[bytes]) -> Iterator[Mapping[str, Any]]:
    """The worker's messages; other lines, which a launcher may print, go to the log."""
    for line in process.output:
        if line.startswith(b'{"event"'):
            yield json.loads(line)
        else:
            log.write(line)
            log.flush()


def _raise(error: Mapping[str, Any], process: Child, log: Path) -> NoReturn:
    message = str(error["message"])
    match error["kind"]:
        case "input":
            raise InputError(message)
        case "diverged":
            raise TrainingDiverged(message)
        case _:
            raise TrainerFailed(f"the trainer stopped: {message}\n{_tail(process, log)}")


def _tail(process: Child, log: Path) -> str:
    tail = indented(process.last_lines(_TAIL_LINES))
    return f"the last lines of {log}:\n{tail}" if tail else f"log: {log}"
