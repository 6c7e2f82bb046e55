"""The process that trains: `python -m trainers.sft_worker [job.json]`, started by `trainers.sft`.

Without an argument it gets its imports done and waits for jobs on standard input.
"""

from __future__ import annotations

import sys

from ratchet.files import read_json
from trainers.sft import SftJob
from trainers.worker import Jobs, Reports


def main(arguments: list[str]) -> None:
    """Do the jobs, and report on them."""
    reports = Reports()
    jobs = Jobs(arguments)
    with reports.errors():
        # Imported here, so that an installation that can't is told to the parent.
        from trainers.sft_training import holds_device, train

        train(SftJob(**read_json(jobs.next())), reports)
        while not (arguments or holds_device()):
            reports.send("waiting")
            train(SftJob(**read_json(jobs.next())), reports)


if __name__ == "__main__":
    main(sys.argv[1:])
