"""Makes the demo's seed model from nothing: `python -m models.seed_model --out DIR`.

A Qwen2-type model of under a million parameters with a tokenizer of its own, trained on given
solutions of the arithmetic generator's "seed" split alone. It is meant to be weak: the demo's
loop, which never sees a given solution, has to make it better.
"""

from __future__ import annotations

import argparse
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from ratchet.generation.prompts import PromptConfig, prompt_token_ids, render_prompt
from ratchet.problems.arithmetic import Limits, generate
from ratchet.records import Problem

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

IGNORED = -100
"""Label of a token that carries no loss."""


WIDE = Limits(addend=40, quantity=99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides the seed model's weights."""

    num_problems: int = 2400
    levels: tuple[int, ...] = (1, 2, 3)
    limits: Limits = WIDE
    """Wider than the demo's own, so that its sums are spread thin and leave room to improve."""
    seed: int = 0
    """Of the problems drawn, of the initial weights and of the batches' order."""
    vocab_size: int = 640
    steps: int = 900
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup_steps: int = 50
    weight_decay: float = 0.1


@dataclass(frozen=True, slots=True)
class SeedExample:
    """Token ids of one problem: the prompt, and the solution with its end token."""

    prompt: list[int]
    completion: list[int]


def seed_problems(recipe: Recipe) -> list[Problem]:
    """The problems whose given solutions the seed model is trained on."""
    return generate("seed", recipe.num_problems, recipe.levels, recipe.seed, recipe.limits)


def make_tokenizer(problems: Sequence[Problem], vocab_size: int) -> Any:
    """A byte-level BPE tokenizer with every digit a token of its own; no text is unknown to it."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = [f"user\nassistant\n{p.problem}\n{p.solution}" for p in problems]
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START],
        model_max_length=1024,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_model(tokenizer: Any) -> Any:
    """A Qwen2 model with fresh weights."""
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model


def make_examples(tokenizer: Any, problems: Sequence[Problem]) -> list[SeedExample]:
    """Prompts as sampler and trainer render them, each with its given solution."""
    examples = []
    for problem in problems:
        prompt = render_prompt(tokenizer, PromptConfig(), problem.problem)
        solution = tokenizer(problem.solution, add_special_tokens=False)["input_ids"]
        completion = [*solution, tokenizer.eos_token_id]
        examples.append(SeedExample(prompt_token_ids(tokenizer, prompt), completion))
    return examples


def train(model: Any, examples: Sequence[SeedExample], recipe: Recipe, pad: int) -> float:
    """Trains in place; returns the last step's loss in nats per completion token."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warmup_then_cosine(recipe))
    batches = _batches(examples, recipe)
    loss = torch.zeros(())
    model.train()
    for _ in range(recipe.steps):
        loss = model(**_collate(next(batches), pad)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.eval()
    return float(loss.detach())


def _warmup_then_cosine(recipe: Recipe) -> Callable[[int], float]:
    def factor(step: int) -> float:
        if step < recipe.warmup_steps:
            return (step + 1) / recipe.warmup_steps
        done = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * done))

    return factor


def _batches(examples: Sequence[SeedExample], recipe: Recipe) -> Iterator[list[SeedExample]]:
    """Endless batches, every epoch in another order."""
    order = torch.Generator().manual_seed(recipe.seed)
    while True:
        shuffled = torch.randperm(len(examples), generator=order).tolist()
        for start in range(0, len(examples) - recipe.batch_size + 1, recipe.batch_size):
            yield [examples[i] for i in shuffled[start : start + recipe.batch_size]]


def _length(example: SeedExample) -> int:
    return len(example.prompt) + len(example.completion)


def _collate(batch: Sequence[SeedExample], pad: int) -> dict[str, torch.Tensor]:
    """Padded on the right; the loss is on completions only. Shapes (batch, longest example)."""
    longest = max(_length(example) for example in batch)
    ids = torch.full((len(batch), longest), pad)
    labels = torch.full((len(batch), longest), IGNORED)
    mask = torch.zeros((len(batch), longest), dtype=torch.long)
    for row, example in enumerate(batch):
        prompt, end = len(example.prompt), len(example.prompt) + len(example.completion)
        ids[row, :end] = torch.tensor(example.prompt + example.completion)
        labels[row, prompt:end] = ids[row, prompt:end]
        mask[row, :end] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


@torch.inference_mode()
def greedy_completions(model: Any, tokenizer: Any, problems: Sequence[Problem]) -> list[str]:
    """One completion of at most 128 tokens per problem, in the problems' order."""
    prompts = [render_prompt(tokenizer, PromptConfig(), p.problem) for p in problems]
    completions: list[str] = []
    for start in range(0, len(prompts), 256):
        inputs = tokenizer(
            prompts[start : start + 256],
            add_special_tokens=False,
            padding=True,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=128)
        new = ids[:, inputs["input_ids"].shape[1] :]
        completions += tokenizer.batch_decode(new, skip_special_tokens=True)
    return completions


def accuracy_by_level(problems: Sequence[Problem], completions: Sequence[str]) -> dict[int, float]:
    """Share of right answers per level; 0 stands for all levels together."""
    seen: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for problem, completion in zip(problems, completions, strict=True):
        boxed = re.findall(r"\\boxed\{(\d+)\}", completion)
        correct = bool(boxed) and boxed[-1] == problem.reference_answer
        for level in (0, problem.level or 0):
            seen[level] += 1
            right[level] += correct
    return {level: right[level] / seen[level] for level in sorted(seen)}


CARD = """\
---
license: apache-2.0
pipeline_tag: text-generation
---
# arithmetic-seed

The seed model of Ratchet's demo: {parameters:,} parameters (Qwen2 architecture, float32), with a
byte-level BPE tokenizer of {vocab_size} tokens in which every digit is a token. It solves short
word problems of `ratchet.problems.arithmetic` some of the time and is of no other use.

It was made from nothing, without any other model or data set, by

```sh
python -m models.seed_model --out {out}
```

It saw {num_problems} problems with their given solutions (split "seed", seed {seed}, levels
{levels}; a level is a number of steps), {steps} steps of {batch_size}, the loss on the solutions
only. That split shares no problem with "train", "dev" and "test", whatever names the problems wear.
Its numbers are wider than the demo's: it adds and takes away up to {addend}, with quantities up to
{quantity}, where the demo's problems stop at {demo_addend} and {demo_quantity}.
Other versions of torch or other processors may give slightly other weights.

Greedy accuracy on {num_dev} problems of "dev" (seed 0), at most 128 tokens each:

{table}
"""


def model_card(
    recipe: Recipe, out: Path, num_parameters: int, dev: dict[int, float], n: int
) -> str:
    """The README of the model's folder."""
    rows = [f"| {level or 'all'} | {share:.1%} |" for level, share in dev.items()]
    return CARD.format(
        parameters=num_parameters,
        out=out,
        vocab_size=recipe.vocab_size,
        num_problems=recipe.num_problems,
        seed=recipe.seed,
        levels=", ".join(map(str, recipe.levels)),
        addend=recipe.limits.addend,
        quantity=recipe.limits.quantity,
        demo_addend=Limits().addend,
        demo_quantity=Limits().quantity,
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        num_dev=n,
        table="\n".join(["| level | accuracy |", "|---|---|", *rows]),
    )


def make_seed_model(recipe: Recipe, out: Path, num_dev: int = 1200) -> dict[int, float]:
    """Trains, saves and measures the seed model; returns its dev accuracy by level (0: all)."""
    torch.manual_seed(recipe.seed)
    problems = seed_problems(recipe)
    tokenizer = make_tokenizer(problems, recipe.vocab_size)
    model = make_model(tokenizer)
    loss = train(model, make_examples(tokenizer, problems), recipe, tokenizer.pad_token_id)
    print(f"trained on {len(problems)} given solutions, last loss {loss:.3f} nats per token")
    dev = generate("dev", num_dev, recipe.levels, seed=0)
    accuracy = accuracy_by_level(dev, greedy_completions(model, tokenizer, dev))
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    card = model_card(recipe, out, model.num_parameters(), accuracy, len(dev))
    (out / "README.md").write_text(card, encoding="utf-8")
    return accuracy


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make the demo's seed model from nothing.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--problems", type=int, default=Recipe().num_problems)
    args = parser.parse_args()
    recipe = Recipe(seed=args.seed, steps=args.steps, num_problems=args.problems)
    for level, share in make_seed_model(recipe, args.out).items():
        print(f"level {level or 'all'}: {share:.1%}")


if __name__ == "__main__":
    main()
