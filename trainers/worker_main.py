"""The process that trains, started by `trainers.stage`: `python -m trainers.worker_main [job]`.

Without an argument it gets done the imports that all kinds share and waits for jobs on standard
input.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import assert_never

from ratchet.store.files import read_json
from trainers.config import AnyTrainer, DpoConfig, GrpoConfig, SftConfig, parse_trainer
from trainers.job import TrainJob
from trainers.launch.worker import Jobs, Reporting, Reports
from trainers.loop.trackers import writing_to


def main(arguments: list[str]) -> None:
    """Do the jobs, and report on them."""
    reports = Reports()
    jobs = Jobs(arguments)
    with reports.errors():
        # Imported here, so that an installation that can't is told to the parent.
        from trainers.loop.common import holds_device

        work(jobs.next(), reports)
        while not (arguments or holds_device()):
            reports.send("waiting")
            work(jobs.next(), reports)


def work(path: Path, reports: Reporting) -> None:
    """Do the job of a file; only its own kind's modules are imported."""
    job = TrainJob(**read_json(path))
    with writing_to(Path(job.trackers), job.name):
        _train(parse_trainer(job.config), job, reports)


def _train(config: AnyTrainer, job: TrainJob, reports: Reporting) -> None:
    match config:
        case SftConfig():
            from trainers.sft.training import train as train_sft

            train_sft(config, job, reports)
        case DpoConfig():
            from trainers.dpo.training import train as train_dpo

            train_dpo(config, job, reports)
        case GrpoConfig():
            from trainers.grpo.training import train as train_grpo

            train_grpo(config, job, reports)
        case _:
            assert_never(config)


if __name__ == "__main__":
    main(sys.argv[1:])
