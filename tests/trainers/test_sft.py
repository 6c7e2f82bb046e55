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
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from ratchet.config import identity_settings
from ratchet.errors import InputError
from ratchet.files import read_json
from ratchet.identity import ArtifactSpec
from ratchet.policy import ModelConfig, base_policy
from ratchet.prompts import PromptConfig, prompt_token_ids, render_prompt
from ratchet.records import SftRow
from ratchet.store import Store
from trainers import process, sft
from trainers.batches import BatchSplit, num_steps, padding_share, row_order
from trainers.config import LoraConfig, SftConfig
from trainers.process import TrainerDied, TrainingDiverged, WarmWorker
from trainers.sft_rows import IGNORED, encode_row, encode_rows

REPO = Path(__file__).parents[2]
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "


def make_tokenizer() -> PreTrainedTokenizerFast:
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocab |= {"<end>": len(vocab), "<pad>": len(vocab) + 1}
    bytes_only = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only, eos_token="<end>", pad_token="<pad>"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A random model of 30 thousand weights, and its tokenizer, in a folder."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return base_policy(ModelConfig(path=str(folder)))


def make_row(index=0, prompt="user: 1+1\nassistant: ", completion="2", weight=1.0):
    return SftRow(
        problem_id=f"p{index}", attempt=0, prompt=prompt, completion=completion, weight=weight
    )


def make_rows(num=24):
    return [
        make_row(i, f"user: {i}+1\nassistant: ", "so " * (i % 5) + str(i + 1)) for i in range(num)
    ]


def make_config(**settings):
    defaults = {"batch_size": 8, "max_steps": 8, "learning_rate": 1e-2, "max_length": 64}
    return SftConfig(**{**defaults, **settings})


def store_rows(store, rows):
    def make(workspace):
        workspace.write_part(0, rows, SftRow)
        return {}

    settings = {"rows": [[row.problem_id, row.completion, row.weight] for row in rows]}
    return store.build(ArtifactSpec(stage="select", version=1, settings=settings), make)[0]


class Bench:
    """Trains into a store of its own; by default inside this process, which saves the imports."""

    def __init__(self, root, base, monkeypatch):
        self.root, self.base, self._patch = root, base, monkeypatch
        self.steps = []
        self.log = root / "train.log"
        self.in_this_process()

    def in_this_process(self):
        self._patch.setattr(sft, "run_worker", self._run_here)

    def in_a_worker(self):
        self._patch.setattr(sft, "run_worker", process.run_worker)

    def _run_here(self, launch, follow, warm=None):
        from trainers.sft_training import train

        class Reports:
            def send(self, event, **content):
                follow({"event": event, **content})

        train(sft.SftJob(**read_json(launch.job)), Reports())

    def inputs(self, store, rows, **changes):
        inputs = sft.TrainInputs(
            rows=store_rows(store, rows if rows is not None else make_rows()),
            start=self.base,
            base=self.base,
            iteration=0,
            seed=5,
            log_path=self.log,
            progress=self.steps.append,
        )
        return replace(inputs, **changes)

    def train(self, config=None, rows=None, store="store", **changes):
        store = Store(self.root / store)
        config = config or make_config()
        inputs = self.inputs(store, rows, **changes)
        return store.build(sft.spec(config, inputs), lambda out: sft.run(config, inputs, out))[0]


@pytest.fixture
def bench(tmp_path, tiny, monkeypatch):
    return Bench(tmp_path, tiny, monkeypatch)


def weights_of(artifact, name="model.safetensors"):
    return load_file(artifact.path / "checkpoint" / name)


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


# Rows and labels


def test_loss_is_on_the_completion_and_its_end_token_only():
    tokenizer = make_tokenizer()
    example = encode_row(tokenizer, make_row(prompt="ab", completion="xyz"))
    learned = [tokenizer.convert_tokens_to_ids(token) for token in ["x", "y", "z", "<end>"]]
    assert example.labels == [IGNORED, IGNORED, *learned]
    assert example.input_ids[2:] == learned


def test_prompt_ids_are_those_of_the_sampler():
    tokenizer = make_tokenizer()
    prompt = render_prompt(tokenizer, PromptConfig(), "2+2?")
    ids = prompt_token_ids(tokenizer, prompt)
    assert encode_row(tokenizer, make_row(prompt=prompt)).input_ids[: len(ids)] == ids


def test_too_long_rows_are_dropped_whole_and_counted():
    rows = [make_row(0, "ab", "x"), make_row(1, "ab", "x" * 10)]
    kept, too_long = encode_rows(make_tokenizer(), rows, max_length=4)
    assert [len(example) for example in kept] == [4]
    assert too_long == 1


def test_a_tokenizer_without_an_end_token_is_refused():
    tokenizer = make_tokenizer()
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
    assert padding_share(orders[0], lengths, 4) < 0.1 < padding_share(orders[1], lengths, 4)


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


def test_identity_forgets_what_only_splits_the_batch():
    settings = [make_config(device_batch_size=size, save_steps=size) for size in (2, 4)]
    assert identity_settings(settings[0]) == identity_settings(settings[1])


def test_identity_follows_the_policy_that_is_trained(bench, tiny):
    inputs = bench.inputs(Store(bench.root / "store"), None)
    later = replace(inputs, start=replace(tiny, fingerprint="other"))
    incumbent, base = make_config(), make_config(start_from="base")
    assert sft.spec(incumbent, inputs).identity != sft.spec(incumbent, later).identity
    assert sft.spec(base, inputs).identity == sft.spec(base, later).identity


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


def test_the_checkpoint_has_learned_and_loads(bench, tiny):
    artifact = bench.train(make_config(max_steps=30))
    metrics = artifact.metrics
    assert metrics["train_loss_last"] < metrics["train_loss_first"] / 2
    assert (metrics["steps"], metrics["rows"], metrics["rows_too_long"]) == (30, 24, 0)
    assert bench.steps[-1].done == bench.steps[-1].total == 30
    assert bench.steps[-1].tokens == metrics["tokens"]
    policy = sft.checkpoint_policy(artifact, tiny, iteration=3)
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


def test_nothing_but_the_checkpoint_is_left(bench):
    artifact = bench.train()
    assert {part.file.split("/")[0] for part in artifact.manifest.parts} == {"checkpoint"}


def test_special_ids_are_those_of_the_base(bench, tiny):
    artifact = bench.train()
    seen = read_json(artifact.path / "checkpoint" / "config.json")
    base = read_json(Path(tiny.model) / "config.json")
    assert seen["pad_token_id"] == base["pad_token_id"]


def test_accumulation_changes_no_more_than_rounding(bench):
    whole = weights_of(bench.train(make_config(max_steps=2), store="a"))
    split = weights_of(bench.train(make_config(max_steps=2, device_batch_size=2), store="b"))
    assert all(torch.allclose(whole[n], split[n], atol=1e-3) for n in whole)


def test_a_row_of_weight_zero_teaches_nothing(bench):
    rows = make_rows(8)
    muted = [replace(row, completion="zzz", weight=0.0) for row in rows[:4]] + rows[4:]
    other = [replace(row, completion="yyy", weight=0.0) for row in rows[:4]] + rows[4:]
    left, right = (bench.train(rows=each, store=str(i)) for i, each in enumerate((muted, other)))
    assert_same(weights_of(left), weights_of(right))


def test_weights_of_one_are_the_plain_loss(bench):
    plain = bench.train(make_config(max_steps=1), store="plain")
    bench._patch.setattr("trainers.sft_training.Plan.weighted", property(lambda plan: True))
    weighted = bench.train(make_config(max_steps=1), store="weighted")
    assert plain.metrics["train_loss_last"] == pytest.approx(weighted.metrics["train_loss_last"])


def test_start_from_chooses_the_policy(bench, tiny):
    first = bench.train()
    incumbent = sft.checkpoint_policy(first, tiny, iteration=0)
    onward = bench.train(start=incumbent)
    again = bench.train(make_config(start_from="base"), start=incumbent)
    assert onward.metrics["train_loss_first"] < first.metrics["train_loss_first"]
    assert_same(weights_of(again), weights_of(first))


def test_an_adapter_is_made_loaded_and_gone_on_with(bench, tiny):
    config = make_config(lora=LoraConfig(rank=4, alpha=8), max_steps=12)
    first = bench.train(config)
    policy = sft.checkpoint_policy(first, tiny, iteration=0)
    assert policy.model == tiny.model
    model = AutoModelForCausalLM.from_pretrained(policy.model)
    assert PeftModel.from_pretrained(model, policy.adapter).peft_config["default"].r == 4
    second = bench.train(config, start=policy)
    assert second.metrics["train_loss_first"] < first.metrics["train_loss_first"]
    assert sft.checkpoint_policy(second, policy, iteration=1).model == tiny.model
    with pytest.raises(InputError, match="has rank 4 and alpha 8"):
        bench.train(make_config(lora=LoraConfig(rank=8)), start=policy)


def test_an_adapter_says_nothing_of_where_its_base_lies(bench):
    artifact = bench.train(make_config(lora=LoraConfig(), max_steps=1))
    text = (artifact.path / "checkpoint" / "adapter_config.json").read_text()
    assert json.loads(text)["base_model_name_or_path"] is None
    assert str(bench.base.model) not in text


def test_too_few_rows_are_refused(bench):
    with pytest.raises(InputError, match=r"24 training rows, fewer than trainer.min_rows=30"):
        bench.train(make_config(min_rows=30))
    with pytest.raises(
        InputError, match=r"0 of 24 training rows have at most trainer.max_length=5"
    ):
        bench.train(make_config(max_length=5))


def test_no_rows_at_all_are_refused(bench):
    with pytest.raises(InputError, match="0 training rows"):
        bench.train(rows=[])


def test_an_exploding_loss_stops_at_its_step_and_names_its_rows(bench):
    config = make_config(learning_rate=1e30, max_grad_norm=0)
    with pytest.raises(TrainingDiverged, match=r"the loss of step \d of 8 is (nan|inf).*p\d+/0"):
        bench.train(config)


def test_settings_that_trl_does_not_know_are_the_users_error(bench):
    with pytest.raises(InputError, match="no_such_thing"):
        bench.train(make_config(args={"no_such_thing": 1}))


# Processes


def test_killed_and_gone_on_with_from_its_state_it_ends_with_equal_weights(bench, monkeypatch):
    whole = bench.train(store="whole")
    bench.in_a_worker()
    config = make_config(save_steps=2)
    monkeypatch.setenv("RATCHET_CRASH_AT", "train_step:6")
    with pytest.raises(TrainerDied, match="killed by SIGKILL"):
        bench.train(config, store="cut")
    monkeypatch.delenv("RATCHET_CRASH_AT")
    bench.steps.clear()
    resumed = bench.train(config, store="cut")
    assert bench.steps[0].done > 4
    assert_same(weights_of(resumed), weights_of(whole))
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.metrics["train_loss_first"] == whole.metrics["train_loss_first"]
    assert resumed.metrics["startup_seconds"] > 0


def test_killed_after_saving_it_is_made_again(bench, monkeypatch):
    bench.in_a_worker()
    monkeypatch.setenv("RATCHET_CRASH_AT", "train_saved")
    with pytest.raises(TrainerDied):
        bench.train(make_config(max_steps=1))
    bench.in_this_process()
    again = bench.train(make_config(max_steps=1))
    assert {part.file.split("/")[0] for part in again.manifest.parts} == {"checkpoint"}


def test_one_worker_does_the_next_job_too_with_the_same_result(bench):
    bench.in_a_worker()
    warm = WarmWorker()
    one = bench.train(store="one", warm=warm)
    two = bench.train(store="two", warm=warm)
    warm.close()
    assert one.fingerprint == two.fingerprint
    assert two.metrics["startup_seconds"] < one.metrics["startup_seconds"] / 2


def test_the_users_error_comes_through_the_process(bench):
    bench.in_a_worker()
    with pytest.raises(InputError, match=r"at most trainer.max_length=5 tokens"):
        bench.train(make_config(max_length=5))


PARENT = """
import sys
from pathlib import Path
from trainers.process import Devices, Launch, run_worker
run_worker(Launch("trainers.sft_worker", Path("/nowhere"), Devices(), Path(sys.argv[1])), print)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_worker_dies_with_its_parent(tmp_path):
    fifo = tmp_path / "job.json"
    os.mkfifo(fifo)
    code = PARENT.replace("/nowhere", str(fifo))
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log")], cwd=REPO)
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
