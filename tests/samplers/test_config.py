from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ratchet.config import identity_settings, parse_config
from ratchet.errors import InputError
from samplers.config import (
    DoSampleConfig,
    EngineConfig,
    ReplayEngineConfig,
    TransformersEngineConfig,
    VllmEngineConfig,
    check_params,
    engine_identity,
)
from samplers.vllm_names import (
    lora_rank_that_holds,
    unknown_engine_args,
    unknown_sampling_params,
)


def has_vllm() -> bool:
    return bool(unknown_engine_args(["surely_none"]))


needs_vllm = pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed")


def test_a_group_of_eight_at_temperature_zero_is_refused() -> None:
    with pytest.raises(InputError, match="temperature=0 makes all 8 completions of a group"):
        parse_config(DoSampleConfig, {"temperature": 0}, "the config")
    assert DoSampleConfig(temperature=0, group_size=1).group_size == 1


@pytest.mark.parametrize("name", ["n", "seed", "max_tokens", "stop", "temperature"])
def test_a_parameter_with_a_setting_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is set by"):
        DoSampleConfig(params={name: 1})


@pytest.mark.parametrize("name", ["model", "seed", "enable_lora", "max_model_len"])
def test_an_engine_argument_with_a_setting_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is set by"):
        VllmEngineConfig(args={name: 1})


@needs_vllm
def test_an_unknown_engine_argument_is_a_config_error() -> None:
    with pytest.raises(ValidationError, match="did you mean 'max_num_batched_tokens'"):
        VllmEngineConfig(args={"max_num_batched_token": 1})


@needs_vllm
def test_sampling_parameters_are_checked_against_the_engine() -> None:
    known: dict[str, Any] = {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "logprobs": 0}
    check_params(VllmEngineConfig(), known)
    with pytest.raises(ValueError, match="did you mean 'top_k'"):
        check_params(VllmEngineConfig(), {"topk": 5})
    check_params(TransformersEngineConfig(), {"topk": 5})
    assert unknown_sampling_params(["ignore_eos"]) == []


@needs_vllm
def test_a_lora_rank_that_vllm_does_not_take_is_held_by_the_next_that_it_takes() -> None:
    assert [lora_rank_that_holds(rank) for rank in (1, 4, 16, 48, 512)] == [1, 8, 16, 64, 512]


def test_the_kind_chooses_the_engine() -> None:
    adapter: TypeAdapter[EngineConfig] = TypeAdapter(EngineConfig)
    assert adapter.validate_python({"kind": "transformers"}) == TransformersEngineConfig()
    with pytest.raises(ValidationError, match="vllm"):
        adapter.validate_python({"kind": "other"})


def test_what_cannot_change_a_completion_is_no_part_of_the_identity() -> None:
    fast = VllmEngineConfig(
        max_num_seqs=512, tensor_parallel_size=2, stall_timeout=5, logprobs=False
    )
    assert engine_identity(fast) == engine_identity(VllmEngineConfig())
    assert engine_identity(VllmEngineConfig(dtype="float16")) != engine_identity(fast)
    one, two = TransformersEngineConfig(batch_size=1), TransformersEngineConfig(device="cpu")
    assert engine_identity(one) == engine_identity(two)


def test_what_the_transformers_engine_drew_as_its_checkpoint_said_is_drawn_anew() -> None:
    assert engine_identity(TransformersEngineConfig())["version"] == 2
    assert "version" not in engine_identity(VllmEngineConfig()), "vLLM's stores stay valid"


def test_a_recording_counts_by_its_content_and_not_by_its_path(tmp_path: Path) -> None:
    here, there, other = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl"))
    here.write_text("{}\n")
    there.write_text("{}\n")
    other.write_text("{ }\n")
    first, second, third = (
        engine_identity(ReplayEngineConfig(path=str(path))) for path in (here, there, other)
    )
    assert first == second
    assert first != third
    assert "path" not in identity_settings(ReplayEngineConfig(path=str(here)))


def test_a_missing_recording_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        engine_identity(ReplayEngineConfig(path=str(tmp_path / "none.jsonl")))
    with pytest.raises(InputError, match=r"neither \*.parquet nor \*.jsonl"):
        engine_identity(ReplayEngineConfig(path=str(tmp_path)))
