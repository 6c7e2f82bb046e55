"""What our trainers replace and rely on inside TRL's and transformers': read it before an update.

Names that begin with an underscore may change in any release, and what TRL adds to transformers'
trainer is nowhere promised either. A test holds this list complete, and true of what is installed.
What a module imports by name is not listed: that fails by itself.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Override:
    """A method of ours in place of one of theirs.

    `takes`: its first parameters, which ours names; ours takes what else there is.
    """

    of: str
    member: str
    takes: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Reliance:
    """A member or an attribute of theirs that we call, read or set."""

    of: str
    member: str
    why: str


_MODEL_INPUTS = ("model", "inputs")
_STATE = ("args", "state", "control")
_PAST = ("resume_from_checkpoint", "model")

OVERRIDES = (
    # Of every kind.
    Override("Trainer", "create_optimizer", ("model",), "goes on from a carried state"),
    Override("Trainer", "_get_train_sampler", ("train_dataset",), "rows come in the planned order"),
    Override("Trainer", "training_step", (), "notes each step's values, stops at lost weights"),
    Override("Trainer", "evaluate", (), "the held-out loss is defined as the training's own"),
    Override("Trainer", "_save_checkpoint", ("model", "trial"), "history, and no model card"),
    Override("Trainer", "_load_from_checkpoint", _PAST, "history, and GRPO's table of rewards"),
    Override("TrainerCallback", "on_train_begin", _STATE, "counts the tokens before a resume"),
    Override("TrainerCallback", "on_step_end", _STATE, "tells the parent; looks after the last"),
    Override("TrainerCallback", "on_evaluate", _STATE, "stops where the loss no longer falls"),
    # Of SFT.
    Override("SFTTrainer", "_set_signature_columns_if_needed", (), "keeps the rows' weights"),
    Override(
        "SFTTrainer",
        "compute_loss",
        (*_MODEL_INPUTS, "return_outputs", "num_items_in_batch"),
        "weighs rows",
    ),
    # Of DPO.
    Override("DPOTrainer", "_prepare_dataset", ("dataset",), "pairs come tokenized"),
    Override(
        "DPOTrainer",
        "_precompute_ref_logps",
        ("dataset", "name", "batch_size"),
        "our reference, asked for planned pairs alone, without a cache on disk",
    ),
    Override("DPOTrainer", "_compute_loss", (*_MODEL_INPUTS, "return_outputs"), "our loss"),
    # Of GRPO.
    Override("GRPOTrainer", "_compute_loss", _MODEL_INPUTS, "notes the KL term"),
    Override("GRPOTrainer", "_get_train_sampler", ("dataset",), "groups in the planned order"),
    Override("GRPOTrainer", "_tokenize_prompts", ("prompts",), "no second BOS"),
    Override(
        "GRPOTrainer",
        "_calculate_rewards",
        ("inputs", "prompts", "completions", "completion_ids_list"),
        "our scorer, and rows that could not be scored are missing whole",
    ),
    Override(
        "GRPOTrainer", "_generate_and_score_completions", ("inputs",), "every completion is kept"
    ),
    Override("GRPOTrainer", "_save_checkpoint", ("model", "trial"), "the table of rewards"),
)

RELIANCES = (
    Reliance("Trainer", "_prepare_inputs", "puts a held-out or reference batch on the device"),
    Reliance("Trainer", "_signature_columns", "the columns that reach the collator"),
    Reliance("DPOTrainer", "aux_loss_enabled", "a mixture of experts has a loss of its router"),
    Reliance("DPOTrainer", "router_aux_loss_coef", "its weight"),
    Reliance("GRPOTrainer", "_metrics", 'where the KL of a micro-batch is found, "train", "kl"'),
    Reliance("GRPOTrainer", "_logs", 'where the advantages of a step are found, "advantages"'),
    Reliance("GRPOTrainer", "eos_token_ids", "tells a completion that ended from one that was cut"),
    Reliance("GRPOTrainer", "beta", "set after TRL would have loaded a reference of its own"),
    Reliance("GRPOTrainer", "ref_model", "set to ours"),
    Reliance("GRPOTrainer", "temperature", "our reference's logits are divided by it as well"),
)
