"""Early stopping: what is held out, when it stops, and whose weights are kept."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from ratchet.config import identity_settings
from ratchet.errors import InputError
from ratchet.generation.prompts import prompt_token_ids
from ratchet.records import DpoRow
from tests.helpers.training_bench import assert_same, make_row, make_rows, weights_of
from trainers.config import DpoConfig, EarlyStopping, SftConfig
from trainers.data.batches import shared
from trainers.data.held_out import looks_without_gain, split_rows
from trainers.data.tokens import completion_token_ids
from trainers.loop.checkpoints import load_tokenizer

SEED = 5
"""The bench's."""


def make_config(stopping=None, **settings):
    defaults = {"batch_size": 8, "max_steps": 24, "learning_rate": 1e-2, "max_length": 64}
    stopping = {"held_out": 0.25, "every_steps": 2, "patience": 2, **(stopping or {})}
    return SftConfig(**{**defaults, "early_stopping": stopping, **settings})


def make_noise(num=16):
    """Rows that can only be memorised: what is learned of some says nothing of the others."""
    return [
        make_row(i, f"user: {i}\nassistant: ", f"{(7919 * i * i + 31) % 997}") for i in range(num)
    ]


def held_out_loss(folder, policy, rows, weight=lambda row: 1.0):
    """By hand, one row at a time: weight times nats over tokens."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = load_tokenizer(policy)
    nats = tokens = 0
    for row in rows:
        prompt = prompt_token_ids(tokenizer, row.prompt)
        learned = completion_token_ids(tokenizer, row.completion)
        with torch.no_grad():
            logits = model(torch.tensor([prompt + learned])).logits[0]
        logps = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        nats -= weight(row) * sum(logps[i, t].item() for i, t in enumerate(learned))
        tokens += len(learned)
    return nats / tokens


# What is held out


def test_a_problem_is_trained_on_or_held_out_as_a_whole():
    rows = [make_row(index) for index in range(40) for _ in range(3)]
    split = split_rows(rows, EarlyStopping(held_out=0.1), seed=1)
    assert len(split.held_out) == 12
    assert not {r.problem_id for r in split.trained} & {r.problem_id for r in split.held_out}
    assert len(split.trained) + len(split.held_out) == len(rows)


def test_the_seed_decides_what_is_held_out():
    draws = [split_rows(make_rows(40), EarlyStopping(), seed).held_out for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_without_early_stopping_all_rows_are_trained_on():
    assert split_rows(make_rows(3), None, seed=1).trained == make_rows(3)


def test_one_problem_alone_is_refused():
    with pytest.raises(InputError, match="1 problem, so none can be held out"):
        split_rows([make_row(), make_row()], EarlyStopping(), seed=1)


def test_all_devices_have_as_many_batches_and_all_rows_are_seen():
    batches = [shared(range(11), at_once=2, device=device, devices=3) for device in range(3)]
    assert {len(own) for own in batches} == {2}
    assert {row for own in batches for batch in own for row in batch} == set(range(11))


# When it stops


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([], 0), ([3.0], 0), ([3.0, 2.0], 0), ([3.0, 3.0], 1), ([3.0, 1.0, 2.0, 1.5], 2)],
)
def test_looks_without_gain_follow_the_lowest_loss(losses, expected):
    assert looks_without_gain(losses, min_improvement=0.0) == expected


def test_a_gain_has_to_be_as_large_as_asked():
    assert looks_without_gain([3.0, 2.95, 2.91, 2.85], min_improvement=0.1) == 3


def test_it_stops_and_keeps_the_weights_of_the_lowest_loss(bench, tiny):
    artifact = bench.train(make_config(), make_noise())
    metrics = artifact.metrics
    losses = dict(metrics["held_out_losses"])
    assert metrics["stopped_early"]
    assert metrics["steps"] == max(losses) < 24
    assert losses[metrics["best_step"]] == min(losses.values())
    assert list(losses)[-1] == metrics["best_step"] + 4
    held_out = split_rows(make_noise(), make_config().early_stopping, SEED).held_out
    assert metrics["held_out_rows"] == len(held_out)
    by_hand = held_out_loss(artifact.path / "checkpoint", tiny, held_out)
    assert by_hand == pytest.approx(min(losses.values()), rel=1e-4)


def test_a_loss_that_falls_to_the_end_is_trained_to_the_end(bench):
    config = make_config(max_steps=5, learning_rate=1e-3)
    metrics = bench.train(config, make_rows()).metrics
    assert [step for step, _ in metrics["held_out_losses"]] == [2, 4, 5]
    assert (metrics["steps"], metrics["best_step"]) == (5, 5)
    assert not metrics["stopped_early"]


def test_weights_count_in_the_held_out_loss_as_in_the_loss(bench, tiny):
    rows = [make_row(i, completion=str(i), weight=0.5 + i / 4) for i in range(12)]
    config = make_config(max_steps=2, learning_rate=1e-3)
    artifact = bench.train(config, rows)
    held_out = split_rows(rows, config.early_stopping, SEED).held_out
    assert len({row.weight for row in held_out}) > 1
    by_hand = held_out_loss(
        artifact.path / "checkpoint", tiny, held_out, weight=lambda row: row.weight
    )
    assert artifact.metrics["held_out_losses"] == [[2, pytest.approx(by_hand, rel=1e-4)]]


def test_an_adapter_is_kept_as_it_was_at_its_best(bench):
    config = make_config(
        lora={"rank": 4}, learning_rate=1.0, lr_scheduler="constant", group_by_length=False
    )
    best = bench.train(config, make_noise())
    until = bench.train(
        config.model_copy(update={"max_steps": best.metrics["best_step"]}), make_noise()
    )
    assert until.metrics["best_step"] == best.metrics["best_step"]
    name = "adapter_model.safetensors"
    assert best.metrics["stopped_early"]
    assert_same(weights_of(best, name), weights_of(until, name))


def test_dpo_stops_by_its_own_loss(bench):
    pairs = [
        DpoRow(
            problem_id=f"p{i}",
            chosen_attempt=0,
            rejected_attempt=1,
            prompt=f"user: {i}\nassistant: ",
            chosen="xy"[in_favour],
            rejected="yx"[in_favour],
        )
        for i, in_favour in enumerate([0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1])
    ]
    config = DpoConfig(
        batch_size=8,
        max_steps=30,
        max_length=64,
        learning_rate=1e-2,
        nll_weight=0.0,
        early_stopping={"held_out": 0.25, "every_steps": 2, "patience": 2},
    )
    metrics = bench.train(config, pairs).metrics
    assert metrics["stopped_early"]
    assert metrics["held_out_rows"] == 4
    assert all(math.isfinite(loss) for _, loss in metrics["held_out_losses"])
    assert min(loss for _, loss in metrics["held_out_losses"]) < metrics["held_out_losses"][-1][1]


@pytest.mark.parametrize("point", ["train_step:3", "train_saved"])
def test_killed_and_gone_on_with_it_stops_at_the_same_step_with_equal_weights(bench, point):
    whole = bench.train(make_config(), make_noise(), store="whole")
    bench.killed_at(point, make_config(), make_noise())
    resumed = bench.train(make_config(), make_noise(), store="cut")
    assert resumed.metrics["held_out_losses"] == whole.metrics["held_out_losses"]
    assert resumed.metrics["steps"] == whole.metrics["steps"] < 24
    assert_same(weights_of(resumed), weights_of(whole))


# Settings


def test_what_cannot_go_with_it_is_refused():
    with pytest.raises(ValueError, match="early_stopping goes back to earlier weights"):
        make_config(carry_optimizer=True)
    with pytest.raises(ValueError, match="save_steps=2 can't hold beside early_stopping"):
        make_config(save_steps=2)


def test_checkpoints_made_before_there_was_early_stopping_keep_their_identity():
    without = SftConfig(max_steps=1)
    assert "early_stopping" not in identity_settings(without)
    assert "early_stopping" in identity_settings(make_config())
