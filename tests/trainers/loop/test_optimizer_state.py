"""The optimizer's state from one training to the next."""

import pytest

from ratchet.errors import InputError
from tests.helpers.training_bench import assert_same, make_rows, weights_of
from trainers import stage
from trainers.config import LoraConfig, SftConfig


def make_config(**settings):
    defaults = {
        "batch_size": 8,
        "max_length": 64,
        "learning_rate": 1e-2,
        "lr_scheduler": "constant",
        "carry_optimizer": True,
    }
    return SftConfig(**{**defaults, "max_steps": 4, **settings})


def after(bench, first, base):
    return stage.checkpoint_policy(first, base, iteration=0)


def test_it_goes_on_where_it_was(bench, tiny):
    """Rows alike in every step, so that two trainings of 4 steps are one of 8."""
    rows = make_rows(1) * 8
    whole = bench.train(make_config(max_steps=8), rows, store="whole")
    first = bench.train(make_config(), rows)
    assert first.metrics["optimizer_carried"] is False
    assert (first.path / "optimizer.pt").is_file()
    carried = bench.train(make_config(), rows, start=after(bench, first, tiny))
    assert carried.metrics["optimizer_carried"] is True
    anew = bench.train(make_config(carry_optimizer=False), rows, start=after(bench, first, tiny))
    assert_same(weights_of(carried), weights_of(whole))
    assert not (anew.path / "optimizer.pt").exists()
    with pytest.raises(AssertionError):
        assert_same(weights_of(anew), weights_of(whole))


def test_the_settings_are_the_new_trainings_own(bench, tiny):
    first = bench.train(make_config(), make_rows())
    still = make_config(learning_rate=1e-30)
    second = bench.train(still, make_rows(), start=after(bench, first, tiny))
    assert_same(weights_of(second), weights_of(first))


def test_cut_and_gone_on_with_it_ends_with_equal_weights(bench, tiny, monkeypatch):
    first = bench.train(make_config(), make_rows())
    start = after(bench, first, tiny)
    whole = bench.train(make_config(), make_rows(), store="a", start=start)
    seen = []

    def cut(name):
        seen.append(name)
        if len(seen) == 4:
            raise ConnectionAbortedError

    with monkeypatch.context() as patch:
        patch.setattr("trainers.loop.step_reports.crash_point", cut)
        with pytest.raises(ConnectionAbortedError):
            bench.train(make_config(save_steps=2), make_rows(), store="b", start=start)
    bench.steps.clear()
    resumed = bench.train(make_config(save_steps=2), make_rows(), store="b", start=start)
    assert bench.steps[0].done > 2
    assert_same(weights_of(resumed), weights_of(whole))
    assert resumed.fingerprint == whole.fingerprint


def test_another_optimizers_state_is_refused(bench, tiny):
    first = bench.train(make_config(), make_rows())
    other = make_config(optimizer="sgd")
    with pytest.raises(InputError, match=r"is of adamw_torch_fused, .* is 'sgd'"):
        bench.train(other, make_rows(), start=after(bench, first, tiny))


def test_an_adapter_carries_none():
    with pytest.raises(ValueError, match="not of an adapter"):
        make_config(lora=LoraConfig())
