"""The process that trains: `python -m trainers.sft_worker job.json`, started by `trainers.sft`."""

from __future__ import annotations

import sys
from pathlib import Path

from ratchet.files import read_json
from trainers.sft import SftJob
from trainers.worker import Reports, die_with_parent


def main(job_file: Path) -> None:
    """Do the job, and report on it."""
    reports = Reports()
    die_with_parent()
    with reports.errors():
        job = SftJob(**read_json(job_file))
        # Imported late: it takes seconds, in which the parent's death would go unseen.
        from trainers.sft_training import train

        train(job, reports)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
