"""Settings per iteration."""

import pytest
from pydantic import ValidationError

from ratchet.config import identity_settings
from trainers.config import DpoConfig, GrpoConfig, LoraConfig, SftConfig, at_iteration

SCHEDULE = [{"learning_rate": 2e-5}, {}, {"learning_rate": 5e-6, "max_steps": 7}]


def test_each_iteration_has_its_settings_and_the_last_ones_stay():
    config = SftConfig(learning_rate=1e-5, per_iteration=SCHEDULE)
    rates = [at_iteration(config, iteration).learning_rate for iteration in range(5)]
    assert rates == [2e-5, 1e-5, 5e-6, 5e-6, 5e-6]


def test_without_a_schedule_all_iterations_are_alike():
    config = SftConfig()
    assert at_iteration(config, 3) is config


def test_what_identifies_a_training_is_only_what_it_is_trained_with():
    config = SftConfig(learning_rate=1e-5, per_iteration=SCHEDULE)
    assert at_iteration(config, 0) == SftConfig(learning_rate=2e-5)
    assert at_iteration(config, 1) == SftConfig(learning_rate=1e-5)
    longer = SftConfig(learning_rate=1e-5, per_iteration=[*SCHEDULE, {"batch_size": 8}])
    settings = [identity_settings(at_iteration(one, 2)) for one in (config, longer)]
    assert settings[0] == settings[1]


def test_steps_replace_epochs_and_epochs_steps():
    config = SftConfig(epochs=3, per_iteration=[{"max_steps": 5}, {"epochs": 1}])
    lengths = [(at_iteration(config, n).epochs, at_iteration(config, n).max_steps) for n in (0, 1)]
    assert lengths == [(None, 5), (1, None)]


def test_a_table_replaces_the_table():
    config = DpoConfig(lora={"rank": 4, "alpha": 8}, per_iteration=[{}, {"lora": {"rank": 4}}])
    assert at_iteration(config, 1).lora == LoraConfig(rank=4)


def test_rewards_can_change():
    rewards = [[{"kind": "format"}, {"kind": "correct"}], [{"kind": "correct"}]]
    config = GrpoConfig(per_iteration=[{"rewards": each} for each in rewards])
    assert [len(at_iteration(config, n).rewards) for n in (0, 1, 2)] == [2, 1, 1]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"learning_rat": 1e-5}, r"per_iteration\[1\].learning_rat: unknown key; did you mean"),
        ({"learning_rate": -1}, r"per_iteration\[1\].learning_rate: must be above 0, not -1"),
        ({"kind": "dpo"}, r"per_iteration\[1\]: kind can't change"),
        ({"per_iteration": []}, r"per_iteration\[1\]: per_iteration can't change"),
        ({"max_steps": 1, "epochs": 1}, r"per_iteration\[1\]: .*exactly one of them"),
        ({"device_batch_size": 3}, r"per_iteration\[1\]: .*no multiple of device_batch_size=3"),
        ({"args": {"seed": 1}}, r"per_iteration\[1\].args: .*decided by the run's seed"),
    ],
)
def test_what_cannot_work_is_told_before_the_first_iteration(overrides, told):
    with pytest.raises(ValidationError, match=told):
        SftConfig(per_iteration=[{}, overrides])


def test_all_iterations_errors_are_told_at_once():
    with pytest.raises(ValidationError, match=r"per_iteration\[0\].*per_iteration\[2\]"):
        SftConfig(per_iteration=[{"a": 1}, {}, {"b": 1}])
