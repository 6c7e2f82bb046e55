"""One GRPO training, inside the worker: TRL's trainer, our order of problems, our rewards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from datasets import Dataset
from torch.utils.data import Sampler
from trl import GRPOConfig as TrlConfig
from trl import GRPOTrainer

from ratchet.generation.prompts import prompt_token_ids
from ratchet.policy import Policy
from ratchet.problems.grading import GradingRules
from ratchet.records import GrpoRow
from ratchet.verifier.grader import AnswerRules, Grader
from trainers.config import GrpoConfig
from trainers.data.plan import Plan, make_plan
from trainers.grpo.reference import reference_model
from trainers.grpo.rows import Task, encode_tasks
from trainers.job import TrainJob
from trainers.launch.worker import Reporting
from trainers.loop.checkpoints import load_model, load_tokenizer, peft_config
from trainers.loop.common import make_repeatable, read_rows, train_and_save, trl_settings
from trainers.loop.planned_trainer import PlannedTrainer
from trainers.rewards.base import Sampled
from trainers.rewards.scorer import Scorer
from trainers.rewards.table import RewardTable

_COLUMNS = ("problem_id", "problem", "prompt", "reference_answer")


def train(config: GrpoConfig, job: TrainJob, reports: Reporting) -> None:
    """Train, write the checkpoint, the table of rewards and then the metrics.

    Raises:
        InputError: if the model, the rows, the rewards or the settings can't make a training.
        TrainingDiverged: if the loss of a step is no finite number.
    """
    policy = Policy(**job.start)
    make_repeatable(job.seed)
    rules = GradingRules(
        job.rules["answer_format"], AnswerRules.model_validate(job.rules["policy"])
    )
    with Grader() as grader, Scorer(config.rewards, rules, grader) as scorer:
        trainer = build_trainer(config, job, reports, scorer)
        train_and_save(trainer, policy, config, job)


def build_trainer(
    config: GrpoConfig, job: TrainJob, reports: Reporting, scorer: Scorer
) -> PlannedGrpoTrainer:
    """The trainer before its first step."""
    policy = Policy(**job.start)
    tokenizer = load_tokenizer(policy)
    room = config.max_length - config.max_tokens
    plan = make_plan(config, encode_tasks(tokenizer, read_rows(job, GrpoRow, tokenizer), room), job)
    return PlannedGrpoTrainer(
        plan,
        reports,
        config=config,
        policies=(policy, Policy(**job.base)),
        scorer=scorer,
        tables=Path(job.tables),
        model=load_model(policy, config),
        # TRL wants functions; ours are asked by `_calculate_rewards`, all in one place.
        reward_funcs=[_named(name) for name in scorer.weights],
        args=trl_settings(TrlConfig, config, plan, job, own_arguments(config, scorer)),
        train_dataset=Dataset.from_list([asdict(task.row) for task in plan.examples]),
        processing_class=tokenizer,
        peft_config=peft_config(policy, config),
    )


def own_arguments(config: GrpoConfig, scorer: Scorer) -> dict[str, Any]:
    """What TRL is told for GRPO alone."""
    with_transformers = config.generation == "transformers"
    return {
        # Lost weights then reach the loss, which stops the training and names the step; sampling
        # from logits that are no numbers would end the process instead.
        "generation_kwargs": {"remove_invalid_values": True} if with_transformers else None,
        # For TRL to copy an adapter that is gone on with; a reference of all weights is ours.
        "beta": config.beta if config.lora else 0.0,
        "reward_weights": list(scorer.weights.values()),
        "use_vllm": not with_transformers,
        "vllm_mode": "server" if config.generation == "vllm_server" else "colocate",
    }


def _named(name: str) -> Any:
    def never_called(**_: Any) -> list[float]:
        raise AssertionError(f"{name} is asked by the scorer")

    never_called.__name__ = name
    return never_called


class _GroupedOrder(Sampler[int]):
    """The planned problems, each as often as a group is large, and each step's as often as TRL
    takes them: once for each micro-batch, of which the first makes it sample."""

    def __init__(self, plan: Plan[Task], group_size: int) -> None:
        self._plan = plan
        self._group_size = group_size

    def __iter__(self) -> Iterator[int]:
        size = self._plan.rows_per_step
        for start in range(0, len(self._plan.order), size):
            step = self._plan.order[start : start + size]
            grouped = [row for row in step for _ in range(self._group_size)]
            yield from grouped * self._plan.split.accumulation_steps

    def __len__(self) -> int:
        return len(self._plan.order) * self._group_size * self._plan.split.accumulation_steps


class PlannedGrpoTrainer(PlannedTrainer, GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer with a planned order of problems, our rewards, and all of them kept.

    `policies` are the one that it starts from and the base model.
    """

    def __init__(
        self,
        plan: Plan[Task],
        reports: Reporting,
        *,
        config: GrpoConfig,
        policies: tuple[Policy, Policy],
        scorer: Scorer,
        tables: Path,
        **arguments: Any,
    ) -> None:
        self.config = config
        self.scorer = scorer
        self.tables = tables
        self._scored: list[dict[str, Any]] = []
        super().__init__(plan, reports, **arguments)
        # Every process holds all rows; each has parts of its own.
        own = Path(self.args.output_dir) / "rewards" / str(self.accelerator.process_index)
        self.table = RewardTable(list(scorer.weights), own)
        self.beta = config.beta
        if config.beta:
            self.ref_model = reference_model(self, config, *policies)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        if self.config.beta:
            self.note("kl", torch.tensor(self._metrics["train"]["kl"][-1]))
        return loss

    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        return _GroupedOrder(self.plan, self.config.group_size)

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        # TRL lets the tokenizer add its special tokens, which a rendered prompt has already.
        return [prompt_token_ids(self.processing_class, prompt) for prompt in prompts], None, {}

    def _calculate_rewards(
        self,
        inputs: Sequence[dict[str, Any]],
        prompts: Sequence[str],
        completions: Sequence[str],
        completion_ids_list: Sequence[Sequence[int]],
    ) -> torch.Tensor:
        """Every reward of every completion, of all devices: shape (completions, rewards).

        Rows with a value missing are missing whole, because TRL would take a missing value for 0
        where there is another one.
        """
        batch = [
            self._sampled(row, completion, ids)
            for row, completion, ids in zip(inputs, completions, completion_ids_list, strict=True)
        ]
        self._scored = gather_object(self._score(batch))
        names = list(self.scorer.weights)
        missing = [float("nan")] * len(names)
        values = [
            missing if row["reward"] is None else [row[name] for name in names]
            for row in self._scored
        ]
        return torch.tensor(values, dtype=torch.float32, device=self.accelerator.device)

    def _sampled(self, row: dict[str, Any], completion: str, ids: Sequence[int]) -> Sampled:
        ended = len(ids) > 0 and ids[-1] in self.eos_token_ids
        task = GrpoRow(**{name: row[name] for name in _COLUMNS})
        return Sampled(task, completion, "stop" if ended else "length", len(ids))

    def _score(self, batch: Sequence[Sampled]) -> list[dict[str, Any]]:
        scores = self.scorer.score(batch)
        rows = []
        for at, sampled in enumerate(batch):
            values = {name: column[at] for name, column in scores.values.items()}
            rows.append(
                {
                    "problem_id": sampled.row.problem_id,
                    "completion": sampled.completion,
                    "finish_reason": sampled.finish_reason,
                    "num_tokens": sampled.num_tokens,
                    **values,
                    "reward": self.scorer.total(list(values.values())),
                    "failure": scores.failures[at],
                }
            )
        return rows

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        advantages = list(self._logs["advantages"])[-len(self._scored) :]
        for at, (row, advantage) in enumerate(zip(self._scored, advantages, strict=True)):
            group, attempt = divmod(at, self.config.group_size)
            place = {"step": self.state.global_step, "group": group, "attempt": attempt}
            self.table.add({**place, **row, "advantage": advantage})
        self._note_step()
        return output

    def _note_step(self) -> None:
        """The step's means over its completions; a reward's, over those that have one."""
        self._step_values["completion_tokens"] = self._mean("num_tokens")
        for name in ("reward", *(f"reward_{name}" for name in self.scorer.weights)):
            self._step_values[name] = self._mean(name.removeprefix("reward_"))
        cut = [row["finish_reason"] == "length" for row in self._scored]
        self._step_values["truncated"] = torch.tensor(sum(cut) / len(cut))

    def _mean(self, column: str) -> torch.Tensor:
        values = [row[column] for row in self._scored if row[column] is not None]
        return torch.tensor(sum(values) / len(values) if values else float("nan"))

    def tokens(self, step: int) -> int:
        prompts = self.config.group_size * self.plan.tokens(step)
        return prompts + round(float(self.history["completion_tokens"][step]) * self._batch)

    @property
    def _batch(self) -> int:
        return self.plan.split.batch_size

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.table.flush()
        if self.is_world_process_zero():
            self.table.save(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")
        super()._save_checkpoint(model, trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.table.load(Path(resume_from_checkpoint))

    def metrics(self) -> dict[str, Any]:
        """As of every trainer, and the table's counts; the table is written."""
        if self.is_world_process_zero():
            self.table.write(self.tables)
        tokens = sum(self.tokens(step) for step in range(self.state.global_step))
        metrics = {**super().metrics(), "tokens": tokens}
        del metrics["padding_share"]
        return {**metrics, **self.table.metrics()}
