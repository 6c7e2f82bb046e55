"""The process that trains: `python -m trainers.sft_worker [job.json]`, started by `trainers.sft`.

Without an argument it gets its imports done and waits for the job on standard input.
"""

from __future__ import annotations

import sys

from ratchet.files import read_json
from trainers.sft import SftJob
from trainers.worker import Reports, die_with_parent, wait_for_job


def main(arguments: list[str]) -> None:
    """Do the job, and report on it."""
    reports = Reports()
    with reports.errors():
        # Imported here, so that an installation that can't is told to the parent.
        from trainers.sft_training import train

        job_file = wait_for_job(arguments)
        die_with_parent()
        train(SftJob(**read_json(job_file)), reports)


if __name__ == "__main__":
    main(sys.argv[1:])
