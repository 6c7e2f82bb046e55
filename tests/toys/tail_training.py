"""One tail training, inside the worker: SFT's trainer on rows whose beginnings carry no loss."""
# ruff: noqa: I001 - `trainers.config.tail` is there where this is copied to

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from datasets import Dataset
from trl import SFTConfig as TrlConfig

from ratchet.policy import Policy
from ratchet.records import SftRow
from trainers.config.tail import TailConfig
from trainers.data.tokens import IGNORED
from trainers.job import TrainJob
from trainers.launch.worker import Reporting
from trainers.loop.checkpoints import load_model, load_tokenizer, peft_config
from trainers.loop.common import make_repeatable, plan_rows, train_and_save, trl_settings
from trainers.sft.rows import EncodedRow, encode_rows
from trainers.sft.training import PlannedSftTrainer


def train(config: TailConfig, job: TrainJob, reports: Reporting) -> None:
    """Train, write the checkpoint and then the metrics."""
    policy = Policy(**job.start)
    make_repeatable(job.seed)
    tokenizer = load_tokenizer(policy)

    def encode(tokenizer: Any, rows: Iterable[SftRow], max_length: int) -> Any:
        examples, dropped = encode_rows(tokenizer, rows, max_length)
        return [_tail_of(example, config.tail) for example in examples], dropped

    plan = plan_rows(config, job, tokenizer, SftRow, encode)
    own = {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}
    trainer = PlannedSftTrainer(
        plan,
        reports,
        stopping=config.early_stopping,
        weighted=False,
        model=load_model(policy, config),
        args=trl_settings(TrlConfig, config, plan, job, own),
        train_dataset=_dataset(plan.examples),
        eval_dataset=_dataset(plan.held_out) if plan.held_out else None,
        processing_class=tokenizer,
        peft_config=peft_config(policy, config),
    )
    train_and_save(trainer, policy, config, job)


def _tail_of(example: EncodedRow, count: int) -> EncodedRow:
    head = max(len(example) - count, 0)
    return replace(example, labels=[IGNORED] * head + example.labels[head:])


def _dataset(examples: Iterable[EncodedRow]) -> Dataset:
    rows = list(examples)
    return Dataset.from_dict(
        {"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]}
    )
