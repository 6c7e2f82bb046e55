"""Engine starts and overhead of a whole run: the demo's recipe, as a user starts it.

Overhead is everything around the stages' own work: the flow, the ledger, process starts, imports.
Own work is what the stages measured of themselves: sampling and evaluation from the engine's first
request on, training from its first step on, filter, selection and gate from start to end. The start
of Prefect's server is left out: one server is started before the clock is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ratchet.store.artifacts import MANIFEST, Store, load_manifest
from ratchet.store.ledger import Run

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "configs" / "demo.toml"


def own_work(run: Run) -> dict[str, float]:
    """Seconds of own work by step; a reused artifact cost nothing."""
    seconds = {}
    for step, entry in run.entries().items():
        if not entry.reused:
            manifest = load_manifest(run.store.path_of(entry.identity) / MANIFEST)
            metrics = {"work_seconds": manifest.seconds, **manifest.metrics}
            seconds[step] = float(metrics.get("train_seconds", metrics["work_seconds"]))
    return seconds


def timed_run(store: Path, url: str, seed: int) -> float:
    """Wall seconds of `ratchet run` on the demo's recipe."""
    env = {**os.environ, "PREFECT_API_URL": url}
    recipe = [str(CONFIG), "--set", f"seed={seed}", "--store", str(store)]
    command = [sys.executable, "-m", "flows", "run", *recipe]
    started = time.monotonic()
    done = subprocess.run(command, env=env, cwd=ROOT, stdout=sys.stderr, check=False)
    seconds = time.monotonic() - started
    if done.returncode not in (0, 3):
        raise RuntimeError(f"the demo ended with exit code {done.returncode}")
    return seconds


def measure(seed: int = 0) -> dict[str, Any]:
    """Wall seconds, own work, overhead as a share of the wall, and engine starts."""
    os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with tempfile.TemporaryDirectory() as folder, prefect_test_harness(server_startup_timeout=180):
        wall = timed_run(Path(folder), str(PREFECT_API_URL.value()), seed)
        run = Run.open(Store(Path(folder)), "demo")
        work = own_work(run)
        starts = run.status()["engine_starts"]
    own = sum(work.values())
    return {
        "wall_seconds": round(wall, 1),
        "own_work_seconds": round(own, 1),
        "overhead_share": round(1 - own / wall, 4),
        "engine_starts": starts,
        "work_by_step": {step: round(seconds, 1) for step, seconds in work.items()},
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if sys.argv[1:] else 0), indent=1))
