"""Settings of engines and samplers. Nothing heavy is imported here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from ratchet.config import Config, NotIdentity, identity_settings, of_form
from ratchet.errors import InputError, looked_for
from ratchet.generation.decoding import DecodingConfig, GroupSize, ShardSize, Temperature, refuse
from ratchet.generation.prompts import PromptConfig
from ratchet.store.files import sha256_file
from ratchet.store.identity import digest
from samplers.vllm_names import unknown_engine_args, unknown_sampling_params

Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
Seconds: TypeAlias = Annotated[float, Field(gt=0), NotIdentity()]

_SET_BY_RATCHET = {
    "model": "model.path",
    "revision": "model.revision",
    "trust_remote_code": "model.trust_remote_code",
    "dtype": "engine.dtype",
    "max_model_len": "engine.max_model_len",
    "max_num_seqs": "engine.max_num_seqs",
    "gpu_memory_utilization": "engine.gpu_memory_utilization",
    "tensor_parallel_size": "engine.tensor_parallel_size",
    "enforce_eager": "engine.enforce_eager",
    "max_lora_rank": "engine.lora_rank",
    "enable_lora": "a LoRA trainer",
    "enable_sleep_mode": "nothing: it is on wherever there is a GPU",
    "seed": "the run's seed",
    "worker_extension_cls": "nothing: Ratchet seeds the workers through its own",
}

_SENT_BY_RATCHET = {
    "model": "engine.model",
    "messages": "[prompt]",
    "prompt": "[prompt]",
    "chat_template_kwargs": "prompt.chat_template_args",
    "max_completion_tokens": "max_tokens",
    "stream": "nothing: only whole completions are kept",
    "echo": "nothing: a completion begins behind its prompt",
    "best_of": "nothing: each completion is a request of its own",
}

TRANSFORMERS_VERSION = 2
"""Raised where the transformers engine comes to give other completions for the same settings. Since
2 the checkpoint's own sampling settings have no part in them."""


class EngineBase(Config):
    """What every engine process has."""

    start_timeout: Seconds = 1800.0
    """Longest time to start the engine or load a policy."""
    stall_timeout: Seconds = 600.0
    """Longest time without one step of the engine before it counts as dead."""


class VllmEngineConfig(EngineBase):
    """vLLM, fed through its own step loop."""

    kind: Literal["vllm"] = "vllm"
    dtype: Dtype = "auto"
    """What the model computes in; `auto` is what the checkpoint says."""
    max_model_len: Annotated[int | None, Field(ge=2)] = None
    """Tokens of prompt and completion together; left out, what the model was made for."""
    max_num_seqs: Annotated[int, Field(ge=1, le=1_000_000), NotIdentity()] = 256
    """Completions sampled at the same time; more is faster while memory lasts."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1), NotIdentity()] = 0.9
    """Share of a GPU's memory that vLLM takes for weights and cache."""
    tensor_parallel_size: Annotated[int, Field(ge=1), NotIdentity()] = 1
    """GPUs that the model is split over."""
    enforce_eager: Annotated[bool, NotIdentity()] = False
    """Capture no CUDA graphs: a faster start, slower sampling."""
    lora_rank: Annotated[int, Field(ge=1), NotIdentity()] = 64
    """Largest rank of a LoRA adapter that can be loaded."""
    logprobs: Annotated[bool, NotIdentity()] = True
    """Record the sum of each completion's log probabilities, the model's own at temperature 1.
    Measured on a CPU: the seed model samples 5 to 7 % slower, one of 135 million weights and 49,152
    tokens as fast as without. No part of an artifact's identity: what is there stays as it is."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Any further vLLM engine argument."""

    @field_validator("args")
    @classmethod
    def _known(cls, args: dict[str, Any]) -> dict[str, Any]:
        refuse(args, _SET_BY_RATCHET)
        if unknown := unknown_engine_args(args):
            raise ValueError("; ".join(unknown))
        return args

    @property
    def in_flight(self) -> int:
        """Completions to hold at the engine: those it samples, and a queue of as many."""
        return 2 * self.max_num_seqs


class TransformersEngineConfig(EngineBase):
    """Hugging Face `generate`, batch by batch: slow, but it runs where vLLM does not."""

    kind: Literal["transformers"] = "transformers"
    dtype: Dtype = "auto"
    """What the model computes in; `auto` is what the checkpoint says."""
    max_model_len: Annotated[int | None, Field(ge=2)] = None
    """Tokens of prompt and completion together; left out, what the model was made for."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000), NotIdentity()] = 32
    """Completions sampled at the same time."""
    device: Annotated[
        str,
        NotIdentity(),
        of_form(r"auto|cpu|mps|cuda(:\d+)?", 'one of "auto", "cpu", "cuda", "cuda:0", …, "mps"'),
    ] = "auto"
    """`auto` takes CUDA, then Apple's MPS, then the CPU."""

    @property
    def in_flight(self) -> int:
        """Completions to hold at the engine: two rounds of what it sorts by length."""
        return 8 * self.batch_size


class ReplayEngineConfig(EngineBase):
    """Recorded completions instead of a model."""

    kind: Literal["replay"] = "replay"
    path: Annotated[str, NotIdentity()]
    """A Parquet or JSONL file, or a folder of them (a sample stage's artifact is one)."""
    when_short: Literal["error", "repeat"] = "error"
    """Where a problem has fewer completions than asked for: report the rest, or start over."""

    @property
    def in_flight(self) -> int:
        return 4096


class OpenAIEngineConfig(EngineBase):
    """A server that speaks OpenAI's API, such as `vllm serve` or a vendor's: its model answers."""

    kind: Literal["openai"] = "openai"
    url: str
    """Base URL, which usually ends in `/v1`. It counts as part of what answers: two servers may
    have different weights under one name."""
    model: str = ""
    """The server's name for the model; empty for the only one that it has."""
    api: Literal["chat", "completions"] = "chat"
    """`chat` sends messages, and the server renders its chat template; `completions` sends a plain
    prompt's text."""
    concurrency: Annotated[int, Field(ge=1, le=1000), NotIdentity()] = 32
    """Requests at the same time; each is for one completion."""
    max_retries: Annotated[int, Field(ge=0, le=100), NotIdentity()] = 8
    """Further tries for a completion after an answer that can't be used, or none."""
    timeout: Seconds = 600.0
    """Longest time in which nothing comes back before a request is tried again."""
    api_key_env: Annotated[str, NotIdentity()] = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; it may be unset where the server wants
    none. Empty: no key is sent."""

    @field_validator("url")
    @classmethod
    def _base_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError(
                "holds a user, a password, a query or a fragment, which would be written down with "
                "it (not shown here); give the bare URL, and the key by engine.api_key_env"
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is no URL of a server; give one as http://localhost:8000/v1")
        if url.rstrip("/").endswith("/completions"):
            raise ValueError(f"{url!r} is one call's; leave out what comes after /v1")
        return url.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not re.fullmatch(r"([A-Z_][A-Z0-9_]*)?", name):
            raise ValueError(
                "must be the name of an environment variable, of capitals, digits and _ (what is "
                "there is not shown, as it may be a key); put the key into that variable"
            )
        return name

    @property
    def in_flight(self) -> int:
        """Completions to hold at the engine: those it has requested, and a queue of as many."""
        return 2 * self.concurrency


EngineConfig: TypeAlias = Annotated[
    VllmEngineConfig | TransformersEngineConfig | ReplayEngineConfig | OpenAIEngineConfig,
    Field(discriminator="kind"),
]


def recorded_files(path: str) -> list[Path]:
    """The files of a recording, in order.

    Raises:
        InputError: if there are none.
    """
    place = Path(path)
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise InputError(
            f"engine.path {path!r} does not exist ({looked_for(path)}); give a Parquet or JSONL "
            "file"
        )
    files = sorted(p for p in place.iterdir() if p.suffix in {".parquet", ".jsonl"})
    if not files:
        raise InputError(f"engine.path {path!r} holds neither *.parquet nor *.jsonl")
    return files


def engine_identity(config: EngineConfig) -> dict[str, Any]:
    """The engine's settings that can change a completion; a recording counts by its content.

    Raises:
        InputError: if a recording is missing.
    """
    settings = identity_settings(config)
    if isinstance(config, TransformersEngineConfig):
        settings["version"] = TRANSFORMERS_VERSION
    if isinstance(config, ReplayEngineConfig):
        files = recorded_files(config.path)
        settings["recording"] = digest([sha256_file(file) for file in files])
    return settings


def check_params(engine: EngineConfig, params: dict[str, Any]) -> None:
    """Refuse sampling parameters that the engine can't take, before anything heavy starts.

    Raises:
        ValueError: with every unknown name.
    """
    if isinstance(engine, OpenAIEngineConfig):
        refuse(params, _SENT_BY_RATCHET)
    if isinstance(engine, VllmEngineConfig) and (unknown := unknown_sampling_params(params)):
        raise ValueError("; ".join(unknown))


def check_prompt(engine: EngineConfig, prompt: PromptConfig) -> None:
    """Refuse prompts that the engine has no way to send.

    Raises:
        ValueError: if it is a server's chat API and prompts are plain, or the other way round.
    """
    if not isinstance(engine, OpenAIEngineConfig):
        return
    if engine.api == "completions" and prompt.style == "chat":
        raise ValueError(
            'engine.api = "completions" sends a prompt as it is, and prompt.style = "chat" asks '
            'for a chat template, which the server alone has; set engine.api = "chat", or '
            'prompt.style = "plain"'
        )
    if engine.api == "chat" and prompt.style == "plain":
        raise ValueError(
            'engine.api = "chat" has the server render its chat template, and prompt.style = '
            '"plain" asks for none; set engine.api = "completions", or prompt.style = "chat"'
        )


class DoSampleConfig(DecodingConfig):
    """`group_size` independent completions per problem."""

    kind: Literal["do_sample"] = "do_sample"
    """How completions are drawn: independently of each other."""
    group_size: GroupSize = 8
    """Completions of one problem."""
    temperature: Temperature = 1.0
    """Above 0 wherever `group_size` is above 1, or all completions of a group were the same."""
    shard_size: ShardSize = 2048
    """Completions per shard, the unit of restart; rounded down to whole groups."""


SamplerConfig: TypeAlias = DoSampleConfig
"""One member so far; a second makes it a union told apart by `kind`."""
