"""The DPO stage: its loss by hand, its reference, and what a kill leaves behind."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from ratchet.errors import InputError
from ratchet.generation.prompts import prompt_token_ids
from ratchet.policy import ModelConfig, base_policy
from ratchet.records import DpoRow
from ratchet.store.artifacts import Store
from tests.helpers.tiny_models import TinyModel, save_model
from tests.helpers.tiny_tokenizers import bytes_tokenizer
from tests.helpers.training_bench import assert_same, make_rows, weights_of
from trainers import stage
from trainers.config import DpoConfig, LoraConfig, SftConfig
from trainers.data.batches import BatchSplit
from trainers.dpo.rows import encode_pair, encode_pairs
from trainers.dpo.training import Reference, build_trainer
from trainers.launch.process import TrainingDiverged


def make_pair(index=0, prompt="user: 1+1\nassistant: ", chosen="2", rejected="3"):
    return DpoRow(
        problem_id=f"p{index}",
        chosen_attempt=1,
        rejected_attempt=0,
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
    )


def make_pairs(num=8):
    return [
        make_pair(
            i, f"user: {i}+1\nassistant: ", "so " * (i % 3) + str(i + 1), f"no, {i}" * (i % 2)
        )
        for i in range(num)
    ]


def make_config(**settings):
    defaults = {"batch_size": 8, "max_steps": 8, "learning_rate": 3e-3, "max_length": 64}
    return DpoConfig(**{**defaults, **settings})


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """A full checkpoint that is not the base model, of much larger weights."""
    folder = save_model(tmp_path_factory.mktemp("other"), TinyModel(seed=1, spread=0.2))
    return base_policy(ModelConfig(path=str(folder)))


@pytest.fixture
def adapter(bench, tiny):
    """A trained adapter on the base model."""
    config = SftConfig(batch_size=8, max_steps=6, learning_rate=3e-2, lora=LoraConfig(rank=4))
    artifact = bench.train(config, make_rows(8), store="adapter")
    return stage.checkpoint_policy(artifact, tiny, iteration=0)


def build(bench, config, pairs=None, **changes):
    """The trainer before its first step."""
    inputs = bench.inputs(Store(bench.root / "store"), pairs or make_pairs(), **changes)
    out = SimpleNamespace(path=bench.root)
    job = stage._job(config, inputs, out, BatchSplit.of(config, 1))
    return build_trainer(config, job, SimpleNamespace(send=lambda *_, **__: None))


# The loss, by hand


def load(policy):
    model = AutoModelForCausalLM.from_pretrained(policy.model).eval()
    return PeftModel.from_pretrained(model, policy.adapter) if policy.adapter else model


@torch.no_grad()
def logp(policy, prompt, completion):
    """(sum of log-probabilities of completion and end token, their number), without padding."""
    tokenizer = bytes_tokenizer()
    head = prompt_token_ids(tokenizer, prompt)
    tail = [*prompt_token_ids(tokenizer, completion), tokenizer.eos_token_id]
    logits = load(policy)(torch.tensor([head + tail])).logits[0]
    each = logits.log_softmax(dim=-1)[len(head) - 1 : -1]
    return each.gather(1, torch.tensor(tail)[:, None]).sum().item(), len(tail)


def loss_by_hand(pair, policy, reference, config):
    chosen, chosen_length = logp(policy, pair.prompt, pair.chosen)
    rejected, rejected_length = logp(policy, pair.prompt, pair.rejected)
    r_chosen = chosen - logp(reference, pair.prompt, pair.chosen)[0]
    r_rejected = rejected - logp(reference, pair.prompt, pair.rejected)[0]
    if config.length_normalised:
        r_chosen, r_rejected = r_chosen / chosen_length, r_rejected / rejected_length
    wins = 1 / (1 + math.exp(-config.beta * (r_chosen - r_rejected)))
    smooth = config.label_smoothing
    preference = -(1 - smooth) * math.log(wins) - smooth * math.log(1 - wins)
    return config.dpo_weight * preference - config.nll_weight * chosen / chosen_length


FORMS = {
    "plain": {"nll_weight": 0},
    "iterative_rpo": {"nll_weight": 0.7, "dpo_weight": 1.3},
    "length_normalised": {"nll_weight": 0, "length_normalised": True, "beta": 2},
    "both": {"nll_weight": 1, "length_normalised": True, "beta": 2},
    "smoothed": {"nll_weight": 0, "label_smoothing": 0.2},
    "nll_alone": {"dpo_weight": 0, "nll_weight": 1},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_loss_is_the_formula(bench, tiny, other, form):
    config = make_config(max_steps=1, reference="base", **FORMS[form])
    pairs = make_pairs()
    by_hand = [loss_by_hand(pair, other, tiny, config) for pair in pairs]
    assert len({round(loss, 3) for loss in by_hand}) > 4
    metrics = bench.train(config, pairs, start=other).metrics
    assert metrics["train_loss_first"] == pytest.approx(sum(by_hand) / len(pairs), rel=1e-4)
    assert metrics["reference"] == "base"


def test_the_loss_does_not_hang_on_how_the_batch_is_split(bench, other):
    config = make_config(max_steps=2, reference="base")
    whole = bench.train(config, make_pairs(), store="a", start=other)
    split = config.model_copy(update={"device_batch_size": 2})
    parts = bench.train(split, make_pairs(), store="b", start=other)
    for name in ("train_loss_first", "train_loss_last", "reward_margin_last", "chosen_nll_last"):
        assert parts.metrics[name] == pytest.approx(whole.metrics[name], rel=1e-3)


def test_where_it_starts_the_policy_is_its_own_reference(bench, other):
    metrics = bench.train(make_config(max_steps=1, nll_weight=0), make_pairs(), start=other).metrics
    assert metrics["train_loss_first"] == pytest.approx(math.log(2), rel=1e-4)
    assert metrics["reward_margin_first"] == pytest.approx(0, abs=1e-4)


# The reference


def test_no_second_model_is_held_whatever_is_trained(bench, tiny, other, adapter):
    lora = LoraConfig(rank=4)
    size = load(tiny).num_parameters()
    added = sum(weights.numel() for weights in adapter_weights(adapter))
    for config, start, expected in (
        (make_config(), other, size),
        (make_config(reference="base"), other, size),
        (make_config(lora=lora), tiny, size + added),
        (make_config(lora=lora), adapter, size + added),
        (make_config(lora=lora, reference="base"), adapter, size + added),
    ):
        trainer = build(bench, config, start=start)
        assert trainer.ref_model is None
        assert sum(weights.numel() for weights in trainer.model.parameters()) == expected


def adapter_weights(policy):
    return [weights for name, weights in load(policy).named_parameters() if "lora_" in name]


@pytest.mark.parametrize("reference", ["start", "base"])
def test_an_adapters_loss_is_that_of_a_full_copy(bench, tiny, adapter, reference):
    config = make_config(lora=LoraConfig(rank=4), max_steps=1, reference=reference)
    full = {"start": adapter, "base": tiny}[reference]
    by_hand = [loss_by_hand(pair, adapter, full, config) for pair in make_pairs()]
    metrics = bench.train(config, make_pairs(), start=adapter).metrics
    assert metrics["train_loss_first"] == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-4)
    assert (abs(metrics["reward_margin_first"]) < 1e-4) == (reference == "start")


def test_the_reference_is_where_the_config_says(tiny, other):
    lora = LoraConfig(rank=4)
    on_base = replace(tiny, adapter="/a", fingerprint="adapter on base")
    on_other = replace(other, adapter="/a", fingerprint="adapter on other")

    def place(start, **settings):
        return Reference.of(make_config(**settings), start, tiny).place

    assert place(other) == place(tiny, reference="base") == "model"
    assert place(other, reference="base") == "base"
    assert place(tiny, lora=lora) == place(other, lora=lora) == "below_adapter"
    assert place(on_base, lora=lora) == "model"
    assert place(on_base, lora=lora, reference="base") == "below_adapter"
    assert place(on_base, reference="base") == "base"
    assert place(on_other, lora=lora, reference="base") == "base"


def test_identity_follows_the_reference(bench, tiny, other):
    inputs = bench.inputs(Store(bench.root / "store"), make_pairs(), start=other)
    elsewhere = replace(inputs, base=replace(tiny, fingerprint="another base"))
    start, base = make_config(), make_config(reference="base")
    assert stage.spec(start, inputs).identity != stage.spec(base, inputs).identity
    assert stage.spec(base, inputs).identity != stage.spec(base, elsewhere).identity
    assert stage.spec(start, inputs).identity == stage.spec(start, elsewhere).identity


# Pairs


def test_prompt_ids_are_those_of_the_sampler_and_sides_end_with_the_end_token():
    tokenizer = bytes_tokenizer()
    pair = encode_pair(tokenizer, make_pair(prompt="ab", chosen="xy", rejected="z"))
    assert pair.prompt_ids == prompt_token_ids(tokenizer, "ab")
    assert tokenizer.decode(pair.chosen_ids) == "xy<end>"
    assert tokenizer.decode(pair.rejected_ids) == "z<end>"
    assert (len(pair), pair.tokens, pair.tokens_learned, pair.name) == (5, 9, 5, "p0/1>0")


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_a_side_that_was_cut_has_no_end_token(side):
    tokenizer = bytes_tokenizer()
    row = replace(make_pair(chosen="xy", rejected="z"), **{f"{side}_finish_reason": "length"})
    pair = encode_pair(tokenizer, row)
    ended = {"chosen": "xy<end>", "rejected": "z<end>"}
    ended[side] = ended[side].removesuffix("<end>")
    found = {"chosen": pair.chosen_ids, "rejected": pair.rejected_ids}
    assert {name: tokenizer.decode(ids) for name, ids in found.items()} == ended


@pytest.mark.parametrize("longer", ["chosen", "rejected"])
def test_a_pair_with_a_too_long_side_is_dropped_whole_and_counted(longer):
    pairs = [make_pair(0, "ab", "x", "y"), make_pair(1, "ab", **{longer: "z" * 10})]
    kept, too_long = encode_pairs(bytes_tokenizer(), pairs, max_length=4)
    assert [pair.name for pair in kept] == ["p0/1>0"]
    assert too_long == 1


def test_too_few_pairs_are_refused(bench):
    with pytest.raises(InputError, match=r"0 of 8 training rows have at most"):
        bench.train(make_config(max_length=5), make_pairs())


# Settings


def test_a_loss_of_nothing_is_refused():
    with pytest.raises(ValueError, match="leave no loss"):
        make_config(dpo_weight=0, nll_weight=0)


def test_arguments_that_our_loss_decides_are_refused():
    with pytest.raises(ValueError, match=r"args.loss_type is decided by .*nll_weight"):
        make_config(args={"loss_type": "ipo"})


# Trainings


def test_training_raises_the_margin(bench):
    artifact = bench.train(make_config(max_steps=30), make_pairs(24))
    metrics = artifact.metrics
    assert metrics["reward_margin_last"] > metrics["reward_margin_first"] + 0.5
    assert metrics["reward_accuracy_last"] > 0.9
    assert metrics["chosen_nll_last"] < metrics["chosen_nll_first"]
    assert (metrics["steps"], metrics["rows"], metrics["rows_too_long"]) == (30, 24, 0)
    assert bench.steps[-1].tokens == metrics["tokens"]
    assert 0 < metrics["padding_share"] < 0.5


def test_an_adapter_is_made_and_gone_on_with_without_a_copy_of_it(bench, tiny, adapter):
    config = make_config(lora=LoraConfig(rank=4), max_steps=4)
    policy = stage.checkpoint_policy(bench.train(config, make_pairs(), start=adapter), adapter, 1)
    assert policy.model == tiny.model
    files = {path.name for path in Path(policy.adapter).iterdir()}
    assert "adapter_model.safetensors" in files
    assert "ref" not in files


def test_an_exploding_loss_stops_at_its_step_and_names_its_pairs(bench):
    config = make_config(learning_rate=1e30, max_grad_norm=0)
    with pytest.raises(TrainingDiverged, match=r"the loss of step \d of 8 is (nan|inf).*p\d/1>0"):
        bench.train(config, make_pairs())


def test_killed_and_gone_on_with_from_its_state_it_ends_with_equal_weights(bench):
    whole = bench.train(make_config(), make_pairs(24), store="whole")
    config = make_config(save_steps=2)
    bench.killed_at("train_step:6", config, make_pairs(24))
    bench.steps.clear()
    resumed = bench.train(config, make_pairs(24), store="cut")
    assert bench.steps[0].done > 4
    assert_same(weights_of(resumed), weights_of(whole))
    assert resumed.metrics["reward_margin_first"] == whole.metrics["reward_margin_first"]
