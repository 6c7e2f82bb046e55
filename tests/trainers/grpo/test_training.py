"""The GRPO stage: its rewards and advantages, all kept, and what a kill leaves behind."""

import math
import statistics
import sys
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from trl import GRPOTrainer

from ratchet.config import identity_settings
from ratchet.errors import InputError
from ratchet.problems.grading import GradingRules
from ratchet.records import GrpoRow
from ratchet.store.artifacts import Store
from tests.helpers.training_bench import assert_same, make_rows, weights_of
from trainers import stage
from trainers.config import GrpoConfig, SftConfig
from trainers.data.batches import row_order
from trainers.launch.process import TrainingDiverged


def make_tasks(num=6):
    return [
        GrpoRow(
            problem_id=f"p{i}",
            problem=f"{i}+1",
            prompt=f"user: {i}+1\nassistant: ",
            reference_answer=str(i + 1),
        )
        for i in range(num)
    ]


OWN_REWARDS = """
def count_vowels(batch, factor=1.0):
    return [factor * sum(c in "aeiou" for c in s.completion) for s in batch]

def at_times(batch):
    return [None if len(s.completion) % 2 else 1.0 for s in batch]

def too_few(batch):
    return [1.0]

def broken(batch):
    raise KeyError("gone")

def not_numbers(batch):
    return [float("nan")] * len(batch)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Settings of a reward of the user's own module."""
    (tmp_path / "own_rewards.py").write_text(OWN_REWARDS)
    monkeypatch.delitem(sys.modules, "own_rewards", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))

    def setting(function, **further):
        path = f"own_rewards:{function}"
        return {"kind": "custom", "name": function, "path": path, **further}

    return setting


def make_config(rewards=None, **settings):
    defaults = {
        "batch_size": 8,
        "group_size": 4,
        "max_steps": 2,
        "max_tokens": 8,
        "max_length": 64,
        "learning_rate": 1e-3,
        "rewards": rewards or [{"kind": "correct"}],
    }
    return GrpoConfig(**{**defaults, **settings})


def table_of(artifact):
    return pq.read_table(artifact.path / "rewards.parquet").to_pylist()


def groups_of(rows):
    groups = {}
    for row in rows:
        groups.setdefault((row["step"], row["group"]), []).append(row)
    return groups


# Advantages


def test_advantages_are_the_formula(bench, own):
    rewards = [own("count_vowels", weight=0.5, settings={"factor": 3.0})]
    rewards.append({"kind": "length", "free_tokens": 2, "max_tokens": 10, "weight": 2.0})
    rows = table_of(bench.train(make_config(rewards), make_tasks()))
    assert len(rows) == 16
    for group in groups_of(rows).values():
        vowels = [sum(c in "aeiou" for c in row["completion"]) for row in group]
        assert [row["count_vowels"] for row in group] == [3.0 * n for n in vowels]
        total = [0.5 * row["count_vowels"] + 2.0 * row["length"] for row in group]
        assert [row["reward"] for row in group] == pytest.approx(total)
        spread = statistics.stdev(total)
        by_hand = [(one - statistics.mean(total)) / (spread + 1e-4) for one in total]
        assert [row["advantage"] for row in group] == pytest.approx(by_hand, abs=1e-3)


def test_a_missing_value_is_no_zero(bench, own):
    rewards = [own("count_vowels"), own("at_times", weight=5.0)]
    artifact = bench.train(make_config(rewards, max_tokens=7), make_tasks())
    rows = table_of(artifact)
    missing = [row for row in rows if row["at_times"] is None]
    assert missing
    assert all(row["reward"] is None and row["advantage"] == 0 for row in missing)
    assert all(row["failure"] == "at_times: no value" for row in missing)
    for group in groups_of(rows).values():
        known = [row for row in group if row["reward"] is not None]
        assert sum(row["advantage"] for row in known) == pytest.approx(0, abs=1e-3)
    assert artifact.metrics["completions_unrewarded"] == len(missing)


def test_groups_without_variance_are_counted(bench):
    metrics = bench.train(make_config([{"kind": "format"}]), make_tasks()).metrics
    assert (metrics["groups"], metrics["groups_zero_variance"]) == (4, 4)
    assert (metrics["completions"], metrics["reward_failures"]) == (16, 0)
    assert metrics["reward_format_last"] == metrics["reward_last"] == 0


# Failing rewards


def test_a_reward_of_the_wrong_length_is_refused(bench, own):
    with pytest.raises(InputError, match=r"'too_few' returned 1 values for 8 completions"):
        bench.train(make_config([own("too_few")]), make_tasks())


def test_a_reward_that_raises_is_recorded_and_then_stops_the_training(bench, own):
    artifact = bench.train(make_config([{"kind": "correct"}, own("broken")]), make_tasks())
    rows = table_of(artifact)
    assert all(row["failure"] == "broken: KeyError: 'gone'" for row in rows)
    assert all(row["broken"] is None and row["correct"] is not None for row in rows)
    assert artifact.metrics["reward_failures"] == len(rows) == 16
    with pytest.raises(InputError, match=r"'broken' failed for 3 batches in a row.*gone"):
        bench.train(make_config([own("broken")], max_steps=3), make_tasks())


def test_what_is_no_number_is_a_failure(bench, own):
    rows = table_of(bench.train(make_config([own("not_numbers")], max_steps=1), make_tasks()))
    assert {row["failure"] for row in rows} == {"not_numbers: nan is no number"}


def test_a_function_that_is_not_there_is_the_users_error(bench, own):
    with pytest.raises(InputError, match="'nothing': own_rewards:nothing can't be loaded"):
        bench.train(make_config([own("nothing")]), make_tasks())


# Settings


def test_settings_that_cannot_work_are_refused(own):
    with pytest.raises(ValueError, match="a group would be torn apart"):
        make_config(batch_size=10)
    with pytest.raises(ValueError, match=r"names of their own.*'correct'"):
        make_config([{"kind": "correct"}, {"kind": "correct"}])
    with pytest.raises(ValueError, match=r"names of their own.*'advantage'"):
        make_config([{"kind": "correct", "name": "advantage"}])
    with pytest.raises(ValueError, match="no length between them"):
        make_config([{"kind": "length", "free_tokens": 5, "max_tokens": 5}])


def test_identity_follows_the_rules_and_the_users_code(bench, own, tmp_path):
    config = make_config([own("count_vowels")])
    inputs = bench.inputs(Store(bench.root / "store"), make_tasks())
    before = stage.spec(config, inputs).identity
    boxed = replace(inputs, rules=GradingRules(answer_format="boxed"))
    assert stage.spec(config, boxed).identity != before
    (tmp_path / "own_rewards.py").write_text(OWN_REWARDS + "# changed\n")
    assert stage.spec(config, inputs).identity != before


def test_a_step_takes_batch_size_completions():
    order = row_order(make_config(max_steps=None, epochs=1), [1] * 6, seed=0)
    assert sorted(order) == list(range(6))


# The KL term


@pytest.fixture
def other(bench, tiny):
    """A policy that differs from the base model."""
    config = SftConfig(batch_size=8, max_steps=4, learning_rate=1e-2, max_length=64)
    return stage.checkpoint_policy(bench.train(config, make_rows(8), store="other"), tiny, 0)


@pytest.fixture
def adapter(bench, tiny):
    """A trained adapter on the base model."""
    config = SftConfig(batch_size=8, max_steps=6, learning_rate=3e-2, lora={"rank": 4})
    return stage.checkpoint_policy(bench.train(config, make_rows(8), store="adapter"), tiny, 0)


def load(policy):
    model = AutoModelForCausalLM.from_pretrained(policy.model).eval()
    return PeftModel.from_pretrained(model, policy.adapter) if policy.adapter else model


@torch.no_grad()
def mean_kl(policy, reference, batches):
    """Of the k3 estimator over the completions' tokens, from logits and without TRL."""
    total = tokens = 0
    for batch in batches:
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        at = (mask.cumsum(1) - 1).clamp(min=0)
        kept = batch["completion_mask"]
        logps = []
        for model in (load(policy), load(reference)):
            logits = model(ids, attention_mask=mask, position_ids=at).logits[:, :-1]
            each = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
            logps.append(each[:, -kept.shape[1] :])
        apart = logps[1] - logps[0]
        total += ((apart.exp() - apart - 1) * kept).sum().item()
        tokens += kept.sum().item()
    return total / tokens


@pytest.fixture
def batches(monkeypatch):
    """What the loss was computed on."""
    seen = []
    computed = GRPOTrainer._compute_loss

    def keep(self, model, inputs):
        seen.append(inputs)
        return computed(self, model, inputs)

    monkeypatch.setattr(GRPOTrainer, "_compute_loss", keep)
    return seen


@pytest.mark.parametrize("lora", [None, {"rank": 4, "alpha": 32.0}])
def test_the_kl_term_is_the_formula(bench, tiny, other, adapter, batches, lora):
    start = adapter if lora else other
    settings = {"max_steps": 1, "learning_rate": 1e-9, "lora": lora}
    free = bench.train(make_config(**settings), make_tasks(), start=start)
    batches.clear()
    held = make_config(beta=0.5, reference="base", **settings)
    metrics = bench.train(held, make_tasks(), start=start).metrics
    by_hand = mean_kl(start, tiny, batches)
    assert by_hand > 1e-3
    assert metrics["kl_first"] == pytest.approx(by_hand, rel=1e-3)
    loss = metrics["train_loss_first"] - free.metrics["train_loss_first"]
    assert loss == pytest.approx(0.5 * by_hand, rel=1e-3)


@pytest.mark.parametrize(
    ("start", "lora"), [("other", None), ("tiny", {"rank": 4}), ("adapter", {"rank": 4})]
)
def test_the_reference_is_where_the_training_starts(bench, own, request, start, lora):
    policy = request.getfixturevalue(start)
    config = make_config(
        [own("count_vowels")], beta=0.1, lora=lora, max_steps=12, learning_rate=1e-2
    )
    artifact = bench.train(config, make_tasks(), start=policy)
    assert artifact.metrics["kl_first"] == pytest.approx(0, abs=1e-6)
    assert artifact.metrics["kl_last"] > 1e-4
    assert not (artifact.path / "checkpoint" / "ref").exists()


def test_identity_follows_the_reference_only_where_there_is_one(bench, tiny, other):
    def identity(base, **settings):
        inputs = bench.inputs(Store(bench.root / "store"), make_tasks(), start=tiny, base=base)
        return stage.spec(make_config(**settings), inputs).identity

    assert identity(tiny) == identity(other)
    assert identity(tiny, beta=0.1) == identity(other, beta=0.1)
    asked = {"beta": 0.1, "reference": "base"}
    assert identity(tiny, **asked) != identity(other, **asked)
    assert "beta" not in identity_settings(make_config())


# Trainings


def test_it_learns_what_is_rewarded(bench, own):
    config = make_config(
        [own("count_vowels")], batch_size=32, group_size=8, max_steps=25, learning_rate=1e-2
    )
    artifact = bench.train(config, make_tasks())
    metrics = artifact.metrics
    assert metrics["reward_last"] > metrics["reward_first"] + 1
    assert metrics["reward_count_vowels_last"] == metrics["reward_last"]
    assert metrics["tokens"] == bench.steps[-1].tokens
    assert metrics["tokens_learned"] == sum(row["num_tokens"] for row in table_of(artifact))


def test_accumulation_samples_once_a_step(bench):
    config = make_config(device_batch_size=2, max_steps=2)
    rows = table_of(bench.train(config, make_tasks()))
    assert [row["step"] for row in rows] == [0] * 8 + [1] * 8
    assert all(len({row["problem_id"] for row in g}) == 1 for g in groups_of(rows).values())


def test_long_prompts_are_dropped_and_counted(bench):
    long = replace(make_tasks()[0], problem_id="long", prompt="x" * 100)
    metrics = bench.train(make_config(max_steps=1), [*make_tasks(), long]).metrics
    assert (metrics["rows"], metrics["rows_too_long"]) == (6, 1)


def test_an_exploding_loss_names_its_problems(bench, own):
    config = make_config([own("count_vowels")], learning_rate=1e30, max_grad_norm=0, max_steps=8)
    with pytest.raises(TrainingDiverged, match=r"the loss of step \d of 8 is nan.*: p\d, p\d$"):
        bench.train(config, make_tasks())


def test_killed_and_gone_on_with_from_its_state_it_ends_with_equal_weights(bench):
    rewards = [{"kind": "length", "free_tokens": 1, "max_tokens": 8}, {"kind": "partial"}]
    whole = bench.train(make_config(rewards, max_steps=5), make_tasks(), store="whole")
    config = make_config(rewards, max_steps=5, save_steps=2)
    bench.killed_at("train_step:4", config, make_tasks())
    bench.steps.clear()
    resumed = bench.train(config, make_tasks(), store="cut")
    assert bench.steps[0].done > 2
    assert table_of(resumed) == table_of(whole)
    assert_same(weights_of(resumed), weights_of(whole))
    assert resumed.fingerprint == whole.fingerprint
    assert not math.isnan(resumed.metrics["reward_first"])
