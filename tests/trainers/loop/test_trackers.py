"""`report_to`, from a run's config to what the tracker shows."""

import json
import os
import subprocess
import sys

import pytest

from flows.config import load_config
from tests.helpers.places import CONFIGS
from tests.helpers.training_bench import make_rows
from trainers.loop.trackers import writing_to

DEMO = CONFIGS / "demo.toml"
STEPS = 3


def tracked(bench, tracker, monkeypatch):
    """The folder of trackers after a training that reported to this one, by a worker's process.

    The current folder and home are empty ones, and stay so.
    """
    here, home = bench.root / "here", bench.root / "home"
    for folder in (here, home):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    for name in ("TENSORBOARD_LOGGING_DIR", "TRACKIO_DIR", "WANDB_DIR", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    bench.in_a_worker()
    run = load_config(
        DEMO,
        [
            f"trainer.max_steps={STEPS}",
            "trainer.batch_size=8",
            f'trainer.report_to=["{tracker}"]',
            "trainer.args.logging_steps=1",
        ],
    )
    bench.train(run.trainings()[0].trainer, make_rows(8))
    assert list(here.rglob("*")) == []
    assert [path for path in home.rglob("*") if tracker in path.name] == []
    return bench.root / "trackers"


def test_tensorboard_shows_the_losses_of_each_training_by_its_name(bench, monkeypatch):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = (tracked(bench, "tensorboard", monkeypatch) / "tensorboard").iterdir()
    assert folder.name.startswith("iteration-0-sft-")
    shown = EventAccumulator(str(folder)).Reload()
    losses = shown.Scalars("train/loss")
    assert [point.step for point in losses] == list(range(1, STEPS + 1))
    assert all(0 < point.value < 10 for point in losses)


def ask_trackio(*what):
    """What trackio's own command answers."""
    command = [sys.executable, "-c", "from trackio.cli import main; main()", *what, "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(shown.stdout)


def test_trackio_shows_the_losses_of_each_training_by_its_name(bench, monkeypatch):
    pytest.importorskip("trackio", reason="trackio is not installed")
    folder = tracked(bench, "trackio", monkeypatch) / "trackio"
    monkeypatch.setenv("TRACKIO_DIR", str(folder))
    project = ["--project", "huggingface"]
    (name,) = ask_trackio("list", "runs", *project)["runs"]
    assert name.startswith("iteration-0-sft-")
    losses = ask_trackio("get", "metric", *project, "--run", name, "--metric", "train/loss")
    assert len(losses["values"]) == STEPS
    assert all(0 < point["value"] < 10 for point in losses["values"])


def test_where_the_users_environment_names_a_folder_it_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", "/mine")
    monkeypatch.delenv("WANDB_DIR", raising=False)
    with writing_to(tmp_path, "one"):
        assert os.environ["TRACKIO_DIR"] == "/mine"
        assert os.environ["WANDB_DIR"] == str(tmp_path / "wandb")
    assert "WANDB_DIR" not in os.environ
    assert os.environ["TRACKIO_DIR"] == "/mine"
