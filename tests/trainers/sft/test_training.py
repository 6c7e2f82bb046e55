"""The SFT stage: labels, batches, weights, and what a kill leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from ratchet.config import identity_settings
from ratchet.errors import InputError
from ratchet.generation.prompts import PromptConfig, prompt_token_ids, render_prompt
from ratchet.store.artifacts import Store
from ratchet.store.files import read_json
from tests.helpers.places import ROOT
from tests.helpers.tiny_tokenizers import TEMPLATE, bytes_tokenizer
from tests.helpers.training_bench import assert_same, make_row, make_rows, weights_of
from trainers import stage
from trainers.config import LoraConfig, SftConfig, parse_trainer
from trainers.data.batches import BatchSplit, num_steps, padded_tokens, row_order
from trainers.data.tokens import IGNORED
from trainers.launch import machine_check as machine_check
from trainers.launch import process
from trainers.launch.process import Devices, TrainerDied, TrainingDiverged, WarmWorker
from trainers.sft.rows import encode_row, encode_rows


def make_config(**settings):
    defaults = {"batch_size": 8, "max_steps": 8, "learning_rate": 1e-2, "max_length": 64}
    return SftConfig(**{**defaults, **settings})


class SftBench:
    """The bench with SFT's settings and rows where a test names none."""

    def __init__(self, bench):
        self._bench = bench

    def __getattr__(self, name):
        return getattr(self._bench, name)

    def train(self, config=None, rows=None, **changes):
        rows = make_rows() if rows is None else rows
        return self._bench.train(config or make_config(), rows, **changes)


@pytest.fixture
def sft(bench):
    return SftBench(bench)


# Rows and labels


def test_loss_is_on_the_completion_and_its_end_token_only():
    tokenizer = bytes_tokenizer()
    example = encode_row(tokenizer, make_row(prompt="ab", completion="xyz"))
    learned = [tokenizer.convert_tokens_to_ids(token) for token in ["x", "y", "z", "<end>"]]
    assert example.labels == [IGNORED, IGNORED, *learned]
    assert example.input_ids[2:] == learned


def test_no_end_token_is_learned_of_a_completion_that_was_cut():
    tokenizer = bytes_tokenizer()
    row = replace(make_row(prompt="ab", completion="xyz"), finish_reason="length")
    assert encode_row(tokenizer, row).labels[2:] == tokenizer.convert_tokens_to_ids(list("xyz"))


def test_prompt_ids_are_those_of_the_sampler():
    tokenizer = bytes_tokenizer()
    prompt = render_prompt(tokenizer, PromptConfig(), "2+2?")
    ids = prompt_token_ids(tokenizer, prompt)
    assert encode_row(tokenizer, make_row(prompt=prompt)).input_ids[: len(ids)] == ids


def test_too_long_rows_are_dropped_whole_and_counted():
    rows = [make_row(0, "ab", "x"), make_row(1, "ab", "x" * 10)]
    kept, too_long = encode_rows(bytes_tokenizer(), rows, max_length=4)
    assert [len(example) for example in kept] == [4]
    assert too_long == 1


def test_a_tokenizer_without_an_end_token_is_refused():
    tokenizer = bytes_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="no eos_token"):
        encode_rows(tokenizer, make_rows(), max_length=64)


# Batches


def test_each_epoch_takes_every_row_once():
    config = make_config(batch_size=4, max_steps=None, epochs=3)
    order = row_order(config, [1] * 20, seed=1)
    assert sorted(order) == sorted(list(range(20)) * 3)


def test_the_last_step_is_filled_up():
    config = make_config(batch_size=8, max_steps=None, epochs=1)
    assert num_steps(config, 20) == 3
    assert len(row_order(config, [1] * 20, seed=1)) == 24


def test_length_grouping_changes_batches_not_rows():
    lengths = [10 + 7 * (i % 30) for i in range(300)]
    grouped = make_config(batch_size=4, max_steps=75)
    plain = make_config(batch_size=4, max_steps=75, group_by_length=False)
    orders = [row_order(config, lengths, seed=1) for config in (grouped, plain)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(300))
    shares = [1 - sum(lengths) / padded_tokens(order, lengths, 4) for order in orders]
    assert shares[0] < 0.1 < shares[1]


def test_the_effective_batch_is_what_the_config_says():
    split = BatchSplit.of(make_config(batch_size=24, device_batch_size=3), devices=4)
    assert (split.accumulation_steps, split.batch_size) == (2, 24)


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(InputError, match="batch_size=8 can't be split over 3 devices"):
        BatchSplit.of(make_config(batch_size=8), devices=3)
    with pytest.raises(ValueError, match="no multiple of device_batch_size=3"):
        make_config(batch_size=8, device_batch_size=3)


# Settings


def test_training_lasts_two_epochs_unless_told():
    assert SftConfig().epochs == 2
    assert SftConfig(max_steps=5).epochs is None
    with pytest.raises(ValueError, match="exactly one"):
        SftConfig(max_steps=5, epochs=1)


def test_arguments_that_have_a_setting_are_refused():
    with pytest.raises(ValueError, match="is decided by warmup_ratio"):
        SftConfig(args={"warmup_steps": 3})


def test_the_kind_chooses_the_settings():
    assert parse_trainer({"kind": "sft"}) == SftConfig()
    with pytest.raises(ValueError, match="kind"):
        parse_trainer({"kind": "sftt"})


def test_identity_forgets_what_only_splits_the_batch():
    settings = [make_config(device_batch_size=size, save_steps=size) for size in (2, 4)]
    assert identity_settings(settings[0]) == identity_settings(settings[1])


def test_identity_follows_the_policy_that_is_trained(sft, tiny):
    inputs = sft.inputs(Store(sft.root / "store"), make_rows())
    later = replace(inputs, start=replace(tiny, fingerprint="other"))
    incumbent, base = make_config(), make_config(start_from="base")
    assert stage.spec(incumbent, inputs).identity != stage.spec(incumbent, later).identity
    assert stage.spec(base, inputs).identity == stage.spec(base, later).identity


def test_gpus_are_counted_as_cuda_shows_them(monkeypatch):
    monkeypatch.setattr(process, "_installed_gpus", lambda: ["0", "1", "2"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert process.find_devices().count == 3
    assert process.find_devices(2).gpus == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,-1,0")
    assert process.find_devices().gpus == ("2",)
    with pytest.raises(InputError, match="only 1 GPUs are visible"):
        process.find_devices(2)


# Trainings


def test_the_checkpoint_has_learned_and_loads(sft, tiny):
    artifact = sft.train(make_config(max_steps=30))
    metrics = artifact.metrics
    assert metrics["train_loss_last"] < metrics["train_loss_first"] / 2
    assert (metrics["steps"], metrics["rows"], metrics["rows_too_long"]) == (30, 24, 0)
    assert sft.steps[-1].done == sft.steps[-1].total == 30
    assert sft.steps[-1].tokens == metrics["tokens"]
    policy = stage.checkpoint_policy(artifact, tiny, iteration=3)
    assert (policy.fingerprint, policy.adapter, policy.iteration) == (
        artifact.fingerprint,
        None,
        3,
    )
    model = AutoModelForCausalLM.from_pretrained(policy.model)
    tokenizer = AutoTokenizer.from_pretrained(policy.model)
    assert tokenizer.chat_template == TEMPLATE
    ids = torch.tensor([prompt_token_ids(tokenizer, "user: 3+1\nassistant: ")])
    assert torch.isfinite(model(ids).logits).all()


def test_tied_weights_are_written_once_in_another_precision_too(sft):
    weights = weights_of(sft.train(make_config(max_steps=1, save_dtype="bfloat16")))
    assert {values.dtype for values in weights.values()} == {torch.bfloat16}
    assert "lm_head.weight" not in weights


def test_bfloat16_works_on_a_machine_without_a_gpu(sft):
    weights = weights_of(sft.train(make_config(max_steps=2, dtype="bfloat16")))
    assert {values.dtype for values in weights.values()} == {torch.bfloat16}
    assert all(torch.isfinite(values).all() for values in weights.values())


def test_nothing_but_the_checkpoint_is_left(sft):
    artifact = sft.train()
    assert {part.file.split("/")[0] for part in artifact.manifest.parts} == {"checkpoint"}


def test_special_ids_are_those_of_the_base(sft, tiny):
    artifact = sft.train()
    seen = read_json(artifact.path / "checkpoint" / "config.json")
    base = read_json(Path(tiny.model) / "config.json")
    assert seen["pad_token_id"] == base["pad_token_id"]


def test_accumulation_changes_no_more_than_rounding(sft):
    whole = weights_of(sft.train(make_config(max_steps=2), store="a"))
    split = weights_of(sft.train(make_config(max_steps=2, device_batch_size=2), store="b"))
    assert all(torch.allclose(whole[n], split[n], atol=1e-3) for n in whole)


def test_a_row_of_weight_zero_teaches_nothing(sft):
    rows = make_rows(8)
    muted = [replace(row, completion="zzz", weight=0.0) for row in rows[:4]] + rows[4:]
    other = [replace(row, completion="yyy", weight=0.0) for row in rows[:4]] + rows[4:]
    left, right = (sft.train(rows=each, store=str(i)) for i, each in enumerate((muted, other)))
    assert_same(weights_of(left), weights_of(right))


def test_weights_of_one_are_the_plain_loss(sft, monkeypatch):
    plain = sft.train(make_config(max_steps=1), store="plain")
    monkeypatch.setattr("trainers.sft.training.is_weighted", lambda plan: True)
    weighted = sft.train(make_config(max_steps=1), store="weighted")
    assert plain.metrics["train_loss_last"] == pytest.approx(weighted.metrics["train_loss_last"])


def test_start_from_chooses_the_policy(sft, tiny):
    first = sft.train()
    incumbent = stage.checkpoint_policy(first, tiny, iteration=0)
    onward = sft.train(start=incumbent)
    again = sft.train(make_config(start_from="base"), start=incumbent)
    assert onward.metrics["train_loss_first"] < first.metrics["train_loss_first"]
    assert_same(weights_of(again), weights_of(first))


def test_an_adapter_is_made_loaded_and_gone_on_with(sft, tiny):
    config = make_config(lora=LoraConfig(rank=4, alpha=8), max_steps=12)
    first = sft.train(config)
    policy = stage.checkpoint_policy(first, tiny, iteration=0)
    assert policy.model == tiny.model
    model = AutoModelForCausalLM.from_pretrained(policy.model)
    assert PeftModel.from_pretrained(model, policy.adapter).peft_config["default"].r == 4
    second = sft.train(config, start=policy)
    assert second.metrics["train_loss_first"] < first.metrics["train_loss_first"]
    assert stage.checkpoint_policy(second, policy, iteration=1).model == tiny.model
    with pytest.raises(InputError, match="has rank 4 and alpha 8"):
        sft.train(make_config(lora=LoraConfig(rank=8)), start=policy)


def test_an_adapter_says_nothing_of_where_its_base_lies(sft):
    artifact = sft.train(make_config(lora=LoraConfig(), max_steps=1))
    text = (artifact.path / "checkpoint" / "adapter_config.json").read_text()
    assert json.loads(text)["base_model_name_or_path"] is None
    assert str(sft.base.model) not in text


def test_too_few_rows_are_refused(sft):
    with pytest.raises(InputError, match=r"24 training rows, fewer than trainer.min_rows=30"):
        sft.train(make_config(min_rows=30))
    with pytest.raises(
        InputError, match=r"0 of 24 training rows have at most trainer.max_length=5"
    ):
        sft.train(make_config(max_length=5))


def test_no_rows_at_all_are_refused(sft):
    with pytest.raises(InputError, match="0 training rows"):
        sft.train(rows=[])


def test_an_exploding_loss_stops_at_its_step_and_names_its_rows(sft):
    config = make_config(learning_rate=1e30, max_grad_norm=0)
    with pytest.raises(TrainingDiverged, match=r"the loss of step \d of 8 is (nan|inf).*p\d+/0"):
        sft.train(config)


def test_a_loss_that_is_large_but_finite_stops_the_training_too(sft):
    config = make_config(learning_rate=3.0, max_grad_norm=0)
    with pytest.raises(
        TrainingDiverged, match=r"the loss of step \d of 8 is \d.* a token, where guessing among"
    ):
        sft.train(config)


def test_rows_of_large_weight_are_no_lost_weights(sft):
    rows = [make_row(index, weight=40.0) for index in range(8)]
    assert sft.train(make_config(max_steps=4, learning_rate=1e-4), rows).metrics["steps"] == 4


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_rows_put_end_to_end_teach_what_padded_rows_teach(sft, weight):
    rows = [replace(row, weight=weight if i % 2 else 1.0) for i, row in enumerate(make_rows())]
    padded = sft.train(make_config(max_steps=4, learning_rate=1e-3), rows, store="padded")
    config = make_config(max_steps=4, learning_rate=1e-3, padding_free=True)
    flat = sft.train(config, rows, store="flat")
    for name, weights in weights_of(padded).items():
        torch.testing.assert_close(weights_of(flat)[name], weights, rtol=1e-3, atol=1e-5)
    assert flat.metrics["train_loss_last"] == pytest.approx(padded.metrics["train_loss_last"])
    assert flat.metrics["padding_share"] == 0 < padded.metrics["padding_share"]
    assert flat.manifest.identity == padded.manifest.identity


def test_settings_that_trl_does_not_know_are_the_users_error(sft):
    with pytest.raises(InputError, match="no_such_thing"):
        sft.train(make_config(args={"no_such_thing": 1}))


def test_neftune_changes_the_weights_and_nothing_of_the_checkpoints_shape(sft):
    plain = weights_of(sft.train(make_config(max_steps=2)))
    noisy = weights_of(sft.train(make_config(max_steps=2, neftune_noise_alpha=5)))
    assert plain.keys() == noisy.keys()
    assert not torch.equal(plain["model.norm.weight"], noisy["model.norm.weight"])


def test_what_this_machine_lacks_is_told_before_the_training(sft, monkeypatch):
    config = make_config(liger=True, lora=LoraConfig(quantize="4bit"))
    with pytest.raises(InputError, match=r'quantize = "4bit" needs a GPU.*\n.*liger.*needs a GPU'):
        sft.train(config)
    monkeypatch.setattr(machine_check, "find_devices", lambda wanted: Devices(("0",)))
    monkeypatch.setattr(machine_check, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"install bitsandbytes.*\n.*install liger-kernel"):
        sft.train(config)


# Processes


def test_killed_and_gone_on_with_from_its_state_it_ends_with_equal_weights(sft, monkeypatch):
    whole = sft.train(store="whole")
    sft.in_a_worker()
    config = make_config(save_steps=2)
    monkeypatch.setenv("RATCHET_CRASH_AT", "train_step:6")
    with pytest.raises(TrainerDied, match="killed by SIGKILL"):
        sft.train(config, store="cut")
    monkeypatch.delenv("RATCHET_CRASH_AT")
    sft.steps.clear()
    sft.in_this_process()
    resumed = sft.train(config, store="cut")
    assert sft.steps[0].done > 4
    assert_same(weights_of(resumed), weights_of(whole))
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.metrics["train_loss_first"] == whole.metrics["train_loss_first"]
    assert resumed.metrics["startup_seconds"] > 0


def test_killed_after_saving_it_is_made_again(sft):
    sft.killed_at("train_saved", make_config(max_steps=1), make_rows())
    again = sft.train(make_config(max_steps=1), store="cut")
    assert {part.file.split("/")[0] for part in again.manifest.parts} == {"checkpoint"}


def test_one_worker_does_the_next_job_with_the_same_result_and_tells_of_the_users_error(sft):
    sft.in_a_worker()
    warm = WarmWorker()
    one = sft.train(store="one", warm=warm)
    two = sft.train(store="two", warm=warm)
    with pytest.raises(InputError, match=r"at most trainer.max_length=5 tokens"):
        sft.train(make_config(max_length=5), warm=warm)
    warm.close()
    assert one.fingerprint == two.fingerprint
    assert two.metrics["startup_seconds"] < one.metrics["startup_seconds"] / 2


PARENT = """
import sys
from pathlib import Path
from trainers.launch.process import Devices, Launch, run_worker
run_worker(Launch("trainers.worker_main", Path("/nowhere"), Devices(), Path(sys.argv[1])), print)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_worker_dies_with_its_parent(tmp_path):
    fifo = tmp_path / "job.json"
    os.mkfifo(fifo)
    code = PARENT.replace("/nowhere", str(fifo))
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log")], cwd=ROOT)
    worker = wait_for(lambda: next(iter(psutil.Process(parent.pid).children()), None))
    time.sleep(1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if seen := condition():
            return seen
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")
