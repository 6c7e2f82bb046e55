"""Trains tiny models into stores of their own: rows in, checkpoint artifacts out."""

from __future__ import annotations

import multiprocessing
import signal
from dataclasses import astuple, replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from ratchet.records import SftRow
from ratchet.store import crash_points
from ratchet.store.artifacts import Store
from ratchet.store.identity import ArtifactSpec
from trainers import stage, worker_main
from trainers.launch import process
from trainers.launch.process import TrainerDied


def make_row(index=0, prompt="user: 1+1\nassistant: ", completion="2", weight=1.0):
    return SftRow(
        problem_id=f"p{index}", attempt=0, prompt=prompt, completion=completion, weight=weight
    )


def make_rows(num=24):
    return [
        make_row(i, f"user: {i}+1\nassistant: ", "so " * (i % 5) + str(i + 1)) for i in range(num)
    ]


def store_rows(store, rows):
    def make(workspace):
        workspace.write_part(0, rows, type(rows[0]) if rows else SftRow)
        return {}

    settings = {"rows": [list(astuple(row)) for row in rows]}
    return store.build(ArtifactSpec(stage="select", version=1, settings=settings), make)[0]


class _Silent:
    def send(self, event, **content):
        pass


def _work_until_killed(job, point):
    """In the process that dies."""
    crash_points._TARGET, _, crash_points._COUNT = point.partition(":")
    worker_main.work(job, _Silent())


def _run_until_killed(launch, follow, warm=None, *, point):
    """As `run_worker`, in a process forked from one that has its imports done and no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"trainers.{kind}.training" for kind in ("sft", "dpo", "grpo")])
    process = context.Process(target=_work_until_killed, args=(launch.job, point))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    raise TrainerDied(f"killed at {point}")


class Bench:
    """Trains into a store of its own; by default inside this process, which saves the imports."""

    def __init__(self, root, base, monkeypatch):
        self.root, self.base, self._patch = root, base, monkeypatch
        self.steps = []
        self.log = root / "train.log"
        self.in_this_process()

    def in_this_process(self):
        self._patch.setattr(stage, "run_worker", self._run_here)

    def in_a_worker(self):
        self._patch.setattr(stage, "run_worker", process.run_worker)

    def _run_here(self, launch, follow, warm=None):
        class Reports:
            def send(self, event, **content):
                follow({"event": event, **content})

        worker_main.work(launch.job, Reports())

    def killed_at(self, point, config, rows, store="cut"):
        """Train in a process that is killed at a crash point, and see it die."""
        with self._patch.context() as patch:
            patch.setattr(stage, "run_worker", partial(_run_until_killed, point=point))
            with pytest.raises(TrainerDied, match=f"killed at {point}"):
                self.train(config, rows, store=store)

    def inputs(self, store, rows, **changes):
        inputs = stage.TrainInputs(
            rows=store_rows(store, rows),
            start=self.base,
            base=self.base,
            iteration=0,
            seed=5,
            log_path=self.log,
            progress=self.steps.append,
        )
        return replace(inputs, **changes)

    def train(self, config, rows, store="store", **changes):
        store = Store(self.root / store)
        inputs = self.inputs(store, rows, **changes)
        return store.build(stage.spec(config, inputs), lambda out: stage.run(config, inputs, out))[
            0
        ]


def weights_of(artifact, name="model.safetensors"):
    return load_file(artifact.path / "checkpoint" / name)


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
