"""Settings that every kind of trainer has; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from ratchet.config import Config, NotIdentity
from ratchet.config_errors import Fault, find_faults, refuse
from trainers.config.per_iteration import FIELD, fixed_keys, overridden
from trainers.config.trl_arguments import DecidesTrl, TrlArgument, decided_arguments

DEFAULT_EPOCHS = 2.0

PointT = TypeVar("PointT")

_OWNED_ARGS = {
    "data_seed": "the run's seed",
    "output_dir": "the store",
    "seed": "the run's seed",
    "train_sampling_strategy": "group_by_length",
    # The name until transformers 5, which people still write.
    "warmup_ratio": "warmup_ratio",
}


class LoraConfig(Config):
    """Train low-rank adapters instead of the weights."""

    rank: int = Field(default=16, ge=1)
    """Rank of the adapters; vLLM must be told of it by `engine.lora_rank` where it is above 64."""
    alpha: float = Field(default=32.0, gt=0)
    """An adapter's output is multiplied by `alpha` / `rank`."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of an adapter's inputs that are dropped in training."""
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """Names of modules that get an adapter; `all-linear` is every linear layer but the head."""
    quantize: Literal["none", "4bit", "8bit"] = "none"
    """Hold the frozen weights below the adapter in so many bits (QLoRA, by bitsandbytes; needs a
    GPU). The adapter is trained in bfloat16 then, and served on the weights as they were."""


class TrainerBase(Config):
    """What all kinds have.

    A field's mark says which argument of TRL's it is or decides; `OWNED_ARGS` holds what no single
    field of ours decides, and what needs a word more.
    """

    OWNED_ARGS: ClassVar[Mapping[str, str]] = _OWNED_ARGS

    start_from: Literal["incumbent", "base"] = "incumbent"
    """`incumbent` goes on from the best policy so far, `base` trains the base model anew."""
    lora: LoraConfig | None = None
    """Left out, all weights are trained."""

    learning_rate: Annotated[float, TrlArgument("learning_rate")] = Field(default=1e-5, gt=0)
    """The highest learning rate; `lr_scheduler` lowers it from there."""
    lr_scheduler: Annotated[str, TrlArgument("lr_scheduler_type")] = "cosine"
    """A name that transformers knows: linear, cosine, constant, constant_with_warmup, …"""
    warmup_ratio: Annotated[float, DecidesTrl("warmup_steps")] = Field(default=0.0, ge=0, lt=1)
    """Share of the steps in which the learning rate rises from 0."""
    optimizer: Annotated[str, TrlArgument("optim")] = "adamw_torch_fused"
    """A name that transformers knows."""
    weight_decay: Annotated[float, TrlArgument("weight_decay")] = Field(default=0.0, ge=0)
    """AdamW's weight decay; 0 for none."""
    max_grad_norm: Annotated[float, TrlArgument("max_grad_norm")] = Field(default=1.0, ge=0)
    """0 clips nothing."""

    batch_size: Annotated[int, DecidesTrl("gradient_accumulation_steps")] = Field(
        default=32, ge=1, le=1_000_000
    )
    """Rows per optimizer step, over all devices and accumulation steps together."""
    device_batch_size: Annotated[
        int | None, NotIdentity(), DecidesTrl("per_device_train_batch_size")
    ] = Field(default=None, ge=1)
    """Rows that one device takes at once; left out, its whole share of the batch."""
    devices: Annotated[int | None, NotIdentity()] = Field(default=None, ge=1)
    """GPUs to train on; left out, all that are visible."""
    accelerate_config: Annotated[Path | None, NotIdentity()] = None
    """A config file of accelerate's for several GPUs, as those in configs/accelerate, which split
    the weights (FSDP, DeepSpeed). Left out, each GPU holds all of them; one GPU needs none."""
    epochs: Annotated[float | None, DecidesTrl("num_train_epochs")] = Field(default=None, gt=0)
    """Passes over the rows; 2 if `max_steps` is left out too."""
    max_steps: Annotated[int | None, DecidesTrl("max_steps")] = Field(default=None, ge=1)
    """Optimizer steps, however many rows there are."""

    max_length: Annotated[int, DecidesTrl("max_length")] = Field(default=2048, ge=2, le=10_000_000)
    """Tokens of prompt, completion and end token; a longer row is dropped and counted."""
    min_rows: int = Field(default=1, ge=1)
    """Fewer trainable rows than this are an error."""
    gradient_checkpointing: Annotated[
        bool, NotIdentity(), TrlArgument("gradient_checkpointing")
    ] = False
    """Less memory for about a third more time."""
    liger: Annotated[bool, TrlArgument("use_liger_kernel")] = False
    """Liger's fused layers, which take less memory and time on a GPU; needs liger-kernel."""
    dtype: Annotated[Literal["auto", "float32", "bfloat16"], DecidesTrl("bf16", "fp16")] = "auto"
    """What the model computes in; `auto` is bfloat16 on a GPU that has it, else float32. Weights
    that are trained are kept in float32 meanwhile."""
    save_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What the checkpoint is written in; `auto` is what the model computed in."""

    save_steps: Annotated[int | None, NotIdentity(), DecidesTrl("save_steps", "save_strategy")] = (
        Field(default=None, ge=1)
    )
    """Save the training's state every so many steps, so that a kill loses no more than those."""
    report_to: Annotated[tuple[str, ...], NotIdentity(), DecidesTrl("report_to")] = ()
    """Trackers that transformers knows: tensorboard, wandb, trackio, … What those three write lies
    in the run's folder, below `logs/trackers`, unless their environment variables name another."""
    args: dict[str, Any] = {}
    """Further arguments of TRL's config of this kind, e.g. `adam_beta2 = 0.95`."""

    per_iteration: tuple[dict[str, Any], ...] = ()
    """Settings that replace those above in iteration 0, 1, …; the last entry holds for all later
    iterations. `[{}, {learning_rate = 5e-6}]` trains the first iteration as configured."""

    @classmethod
    def owned_args(cls) -> dict[str, str]:
        """Arguments of TRL's that `args` can't hold, and what decides each."""
        return {**decided_arguments(cls), **cls.OWNED_ARGS}

    @property
    def rows_per_step(self) -> int:
        """Rows that one optimizer step takes."""
        return self.batch_size

    def starting_point(self, before: PointT, base: PointT) -> PointT:
        """Of what was trained before and the base model's, what this training starts from."""
        return base if self.start_from == "base" else before

    def at(self, iteration: int) -> Self:
        """The settings of an iteration, counted from 0; no schedule is left in them.

        Raises:
            ValueError: if they can't work.
        """
        if not self.per_iteration:
            return self
        overrides = self.per_iteration[min(iteration, len(self.per_iteration) - 1)]
        if fixed := fixed_keys(overrides):
            raise ValueError("; ".join(fixed))
        return type(self).model_validate(overridden(self.model_dump(), overrides))

    @field_validator("args")
    @classmethod
    def _args_are_free(cls, args: dict[str, Any]) -> dict[str, Any]:
        owned = cls.owned_args()
        taken = [f"args.{name} is decided by {owned[name]}" for name in args if name in owned]
        if taken:
            raise ValueError("; ".join(taken))
        return args

    @model_validator(mode="before")
    @classmethod
    def _default_length(cls, tables: Any) -> Any:
        # Filled in here and not as the field's default, so that max_steps alone is no conflict.
        if isinstance(tables, dict) and not {"epochs", "max_steps"} & set(tables):
            return {**tables, "epochs": DEFAULT_EPOCHS}
        return tables

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.max_steps is None):
            raise ValueError(
                f"epochs={self.epochs} and max_steps={self.max_steps} can't both decide when "
                "training ends; give exactly one of them"
            )
        return self

    @model_validator(mode="after")
    def _all_iterations_work(self) -> Self:
        if not self.per_iteration:
            return self
        own = find_faults(type(self), overridden(self.model_dump(), {}))
        refuse(
            [
                Fault((FIELD, at, *fault.place), fault.why)
                for at, overrides in enumerate(self.per_iteration)
                for fault in self._faults_with(overrides)
                if fault not in own
            ]
        )
        return self

    def _faults_with(self, overrides: Mapping[str, Any]) -> list[Fault]:
        if fixed := fixed_keys(overrides):
            return [Fault((), why) for why in fixed]
        return find_faults(type(self), overridden(self.model_dump(), overrides))

    @model_validator(mode="after")
    def _batch_splits(self) -> Self:
        if self.device_batch_size and self.batch_size % self.device_batch_size:
            raise ValueError(
                f"batch_size={self.batch_size} is no multiple of device_batch_size="
                f"{self.device_batch_size}, so no number of accumulation steps gives it; choose "
                "a device_batch_size that divides batch_size"
            )
        return self
