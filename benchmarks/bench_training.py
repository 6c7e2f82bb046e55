"""Wall time of the SFT stage, as a share of TRL's own trainer called bare; and what is padding.

Both train the seed model on the same rows with the same settings, and write a checkpoint. Each has
a process of its own, with its imports behind it before anything is measured; they take turns, so
that what else the machine does falls on both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ratchet.generation.prompts import PromptConfig, render_prompt
from ratchet.policy import ModelConfig, base_policy
from ratchet.problems.arithmetic import generate
from ratchet.records import SftRow
from ratchet.store.artifacts import Artifact, Store, Workspace
from ratchet.store.identity import ArtifactSpec
from trainers import stage
from trainers.config import SftConfig
from trainers.launch.process import WarmWorker

MODEL = Path(__file__).resolve().parents[1] / "models" / "arithmetic-seed"
ROWS = 2000
ROUNDS = 4
CONFIG = SftConfig(
    learning_rate=5e-4,
    lr_scheduler="linear",
    warmup_ratio=0.05,
    batch_size=32,
    max_steps=80,
    max_length=384,
    dtype="float32",
)


def rows() -> list[SftRow]:
    """The demo's kind of rows: arithmetic problems with their solutions."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    return [
        SftRow(
            problem_id=problem.problem_id,
            attempt=0,
            prompt=render_prompt(tokenizer, PromptConfig(), problem.problem),
            completion=problem.solution or "",
            weight=1.0,
        )
        for problem in generate("train", ROWS, (1, 2, 3), 0)
    ]


class BareTrl:
    """TRL's trainer in a process of its own; `train` has it train once."""

    def __init__(self, rows_file: Path, log: Path) -> None:
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.bench_training", "--bare", str(rows_file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )

    def train(self) -> float:
        """Seconds, from the loading of the model to the checkpoint."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith('{"seconds"'):  # TRL prints tables of its own
                return float(json.loads(line)["seconds"])
        raise RuntimeError(f"the bare process ended with exit code {self._process.wait()}")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def serve_bare(rows_file: Path) -> None:
    """The bare process: one training for each line on stdin."""
    import trl  # noqa: F401  the imports are not measured

    pairs = json.loads(rows_file.read_text(encoding="utf-8"))
    for number, _ in enumerate(sys.stdin):
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            train_bare(pairs, folder, seed=number)
            seconds = time.monotonic() - started
        print(json.dumps({"seconds": seconds}), flush=True)


def train_bare(pairs: list[dict[str, str]], folder: str, seed: int) -> None:
    """TRL as its users call it, with the settings of `CONFIG`."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32),
        args=SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=CONFIG.batch_size,
            max_steps=CONFIG.max_steps or 0,
            learning_rate=CONFIG.learning_rate,
            lr_scheduler_type=CONFIG.lr_scheduler,
            warmup_steps=round(CONFIG.warmup_ratio * (CONFIG.max_steps or 0)),
            optim=CONFIG.optimizer,
            max_length=CONFIG.max_length,
            train_sampling_strategy="group_by_length",
            gradient_checkpointing=False,
            bf16=False,
            seed=seed,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=torch.cuda.is_available(),
        ),
        train_dataset=Dataset.from_list(pairs),
        processing_class=AutoTokenizer.from_pretrained(MODEL),
    )
    trainer.train()
    trainer.save_model(folder)


def stored_rows(store: Store, training_rows: list[SftRow]) -> Artifact:
    """The rows as the select stage leaves them."""

    def make(workspace: Workspace) -> dict[str, Any]:
        workspace.write_part(0, training_rows, SftRow)
        return {}

    spec = ArtifactSpec(stage="select", version=1, settings={"rows": ROWS})
    return store.build(spec, make)[0]


def train_stage(store: Store, inputs: stage.TrainInputs) -> tuple[float, dict[str, Any]]:
    """Seconds and metrics of one whole train stage."""
    started = time.monotonic()
    run = partial(stage.run, CONFIG, inputs)
    artifact, _ = store.build(stage.spec(CONFIG, inputs), run)
    return time.monotonic() - started, dict(artifact.metrics)


def take_turns(root: Path) -> tuple[list[float], list[float], dict[str, Any]]:
    """Seconds of the stage and of TRL by round, and the last stage's metrics."""
    training_rows = rows()
    rows_file = root / "rows.json"
    pairs = [{"prompt": row.prompt, "completion": row.completion} for row in training_rows]
    rows_file.write_text(json.dumps(pairs), encoding="utf-8")
    base = base_policy(ModelConfig(path=str(MODEL)))
    store, warm, bare = Store(root / "store"), WarmWorker(), BareTrl(rows_file, root / "bare.log")
    inputs = stage.TrainInputs(
        rows=stored_rows(store, training_rows),
        start=base,
        base=base,
        iteration=0,
        seed=0,
        log_path=root / "train.log",
        warm=warm,
    )
    stage_seconds, bare_seconds = [], []
    try:
        for number in range(ROUNDS + 1):
            bare_seconds.append(bare.train())
            seconds, metrics = train_stage(store, replace(inputs, seed=number))
            stage_seconds.append(seconds)
    finally:
        bare.close()
        warm.close()
    return stage_seconds, bare_seconds, metrics


def measure() -> dict[str, Any]:
    """Seconds of stage and bare, one number a round, the ratio of their best, and padding.

    The best, because whatever else runs on the machine only ever slows a round down. The first
    round of both, which starts the processes, doesn't count.
    """
    with tempfile.TemporaryDirectory() as folder:
        stage_seconds, bare_seconds, metrics = take_turns(Path(folder))
    return {
        "stage_seconds": [round(seconds, 2) for seconds in stage_seconds[1:]],
        "bare_seconds": [round(seconds, 2) for seconds in bare_seconds[1:]],
        "ratio": round(min(stage_seconds[1:]) / min(bare_seconds[1:]), 3),
        "padding_share": metrics["padding_share"],
        "tokens": metrics["tokens"],
        "tokens_per_second": round(metrics["tokens"] / metrics["train_seconds"]),
    }


def main() -> None:
    """Print each figure with its goal."""
    figures = measure()
    print(
        f"training: {figures['ratio']} of bare TRL's wall time (goal: at most 1.05); "
        f"{100 * figures['padding_share']:.1f} % of the tokens are padding (goal: at most 10 %)",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        serve_bare(Path(sys.argv[2]))
    elif sys.argv[1:] == ["--json"]:
        print(json.dumps(measure(), indent=1))
    else:
        main()
