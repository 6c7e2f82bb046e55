"""The vLLM engine: requests go in at any time, groups come out of its step loop.

Checked against vLLM 0.31.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratchet.errors import InputError
from ratchet.generation.engine import (
    PROMPT_TOO_LONG,
    Output,
    Request,
    SampledGroup,
    Sampling,
    group_of,
)
from ratchet.generation.prompts import PromptConfig, prompt_token_ids, render_prompt
from ratchet.policy import Policy
from ratchet.records import FinishReason
from samplers.config import VllmEngineConfig
from samplers.vllm_names import lora_rank_that_holds

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "repetition": "length",
}


class RatchetWorker:
    """Mixed into vLLM's workers, wherever they run: what vLLM has no call for."""

    def ratchet_seed(self, seed: int) -> None:
        """Seed every generator that a sampler may draw from."""
        import random

        import numpy as np
        import torch

        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)

    def ratchet_repack_head(self) -> None:
        """Have the output layer follow weights that were just reloaded.

        On a CPU it multiplies by a repacked copy of its weights. Where they are tied to the
        embeddings, `reload_weights` (vLLM 0.31) renews the weights and forgets the copy, and the
        model goes on with the old output layer.
        """
        from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

        for layer in self.model_runner.get_model().modules():  # type: ignore[attr-defined]
            if isinstance(layer, ParallelLMHead) and hasattr(layer, "cpu_linear"):
                layer.quant_method.process_weights_after_loading(layer)


@dataclass
class _Pending:
    """A request whose completions are not all there; `outputs` by attempt."""

    request: Request
    prompt: str
    outputs: dict[int, Output] = field(default_factory=dict)


class VllmEngine:
    """One vLLM engine for the life of the process; policies are swapped inside it."""

    def __init__(self, config: VllmEngineConfig, prompt: PromptConfig, *, lora: bool) -> None:
        self._config = config
        self._prompt = prompt
        self._lora = lora
        self._engine: Any = None
        self._tokenizer: Any = None
        self._policy: Policy | None = None
        self._adapter: Any = None
        self._adapters = 0
        self._asleep = False
        self._sampling: dict[str, Any] = {}
        self._params: Any = None
        self._unfinished = 0
        self._pending: dict[int, _Pending] = {}
        self._refused: list[SampledGroup] = []
        self._requests = 0

    def load(self, policy: Policy) -> None:
        """Make `policy` the one that answers.

        Raises:
            InputError: if vLLM does not take the model, the adapter or the engine arguments.
        """
        if self._asleep:
            self._engine.wake_up()
            self._asleep = False
        if policy == self._policy:
            return
        if self._engine is None:
            self._start(policy)
        elif self._policy is None or not _same_weights(policy, self._policy):
            self._reload(policy)
        self._adapter = self._adapter_of(policy)
        self._engine.reset_prefix_cache()
        self._policy = policy

    def _start(self, policy: Policy) -> None:
        from vllm import LLM
        from vllm.exceptions import VLLMError

        from samplers.engines.logprob_sum import sum_logprobs_only

        sum_logprobs_only()
        arguments = self._arguments(policy)
        try:
            self._engine = LLM(**arguments).llm_engine
        except (ValueError, TypeError, OSError, VLLMError) as error:
            shown = {name: value for name, value in arguments.items() if value is not None}
            raise InputError(
                f"vLLM did not start: {error}\nit was given {shown}; correct [engine] or [model]"
            ) from error
        self._tokenizer = self._engine.get_tokenizer()
        self._max_model_len = self._engine.model_config.max_model_len
        self._warm_up()

    def _arguments(self, policy: Policy) -> dict[str, Any]:
        import torch

        config = self._config
        arguments = {
            "model": policy.model,
            "revision": policy.revision,
            "trust_remote_code": policy.trust_remote_code,
            "dtype": config.dtype,
            "max_num_seqs": config.max_num_seqs,
            "gpu_memory_utilization": config.gpu_memory_utilization,
            "tensor_parallel_size": config.tensor_parallel_size,
            "enforce_eager": config.enforce_eager,
            "enable_sleep_mode": torch.cuda.is_available(),
            "worker_extension_cls": f"{__name__}.{RatchetWorker.__name__}",
            **config.args,
        }
        if config.max_model_len is not None:
            arguments["max_model_len"] = config.max_model_len
        if self._lora or policy.adapter:
            rank = lora_rank_that_holds(config.lora_rank)
            arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": rank}
            self._lora = True
        return arguments

    def _warm_up(self) -> None:
        """Pay for what vLLM compiles at its first requests now, not in a stage's time.

        What it compiles depends on the kind of sampling, and on whether one or more are sampled.
        """
        from vllm import SamplingParams

        kinds: tuple[dict[str, Any], ...] = ({}, {"top_p": 0.9}, {"top_k": 5})
        for index, kind in enumerate(kinds):
            for count in (1, 2, 3):
                params = SamplingParams(
                    n=count, temperature=1.0, max_tokens=2, **self._logprobs(), **kind
                )
                prompt = {"prompt_token_ids": [0]}
                self._engine.add_request(f"warm-up {index} {count}", prompt, params)
                while self._engine.has_unfinished_requests():
                    self._engine.step()

    def _reload(self, policy: Policy) -> None:
        folder = local_checkpoint(policy)
        self._engine.collective_rpc("reload_weights", kwargs={"weights_path": folder})
        self._engine.collective_rpc("ratchet_repack_head")

    def _adapter_of(self, policy: Policy) -> Any:
        if policy.adapter is None:
            return None
        self._check_adapter(Path(policy.adapter))
        from vllm.lora.request import LoRARequest

        self._adapters += 1
        adapter = LoRARequest(policy.fingerprint, self._adapters, policy.adapter)
        try:
            self._engine.add_lora(adapter)
        except (ValueError, OSError) as error:
            raise InputError(f"vLLM can't load the adapter {policy.adapter}: {error}") from error
        return adapter

    def _check_adapter(self, folder: Path) -> None:
        path = folder / "adapter_config.json"
        if not path.is_file():
            raise InputError(f"{folder} has no adapter_config.json: it is no LoRA adapter")
        rank = json.loads(path.read_text(encoding="utf-8")).get("r", 0)
        if rank > self._config.lora_rank:
            raise InputError(
                f"the adapter {folder} has rank {rank}, the engine keeps room for "
                f"{self._config.lora_rank}; set engine.lora_rank = {rank}"
            )
        if not self._lora:
            raise InputError(
                f"the engine was started without room for adapters, so it can't load {folder}; "
                "start it with lora=True"
            )

    def configure(self, sampling: Sampling) -> None:
        """Set how the next requests are sampled, and seed every worker.

        Raises:
            InputError: if vLLM refuses the sampling parameters.
        """
        self._sampling = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "stop": list(sampling.stop),
            **self._logprobs(),
            **dict(sampling.extra),
        }
        try:
            self._params = self._build_params()
        except (ValueError, TypeError, self._vllm_error()) as error:
            shown = self._sampling
            raise InputError(f"vLLM refuses the sampling parameters {shown}: {error}") from error
        self._engine.collective_rpc("ratchet_seed", args=(sampling.seed,))

    def _logprobs(self) -> dict[str, Any]:
        """What has vLLM say each drawn token's log probability, and no other token's."""
        return {"logprobs": 0} if self._config.logprobs else {}

    @staticmethod
    def _vllm_error() -> type[Exception]:
        from vllm.exceptions import VLLMError

        error: type[Exception] = VLLMError
        return error

    def _build_params(self) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY, **self._sampling)

    def add(self, request: Request) -> None:
        """Queue a request; a prompt that leaves no room for a token becomes a group of errors.

        Each completion is a vLLM request of its own: that shows when it ends, which a request with
        n > 1 shows only for all of them. Their prompt is computed once all the same, by vLLM's
        prefix cache, as it is for n > 1.
        """
        prompt = render_prompt(self._tokenizer, self._prompt, request.problem)
        ids = prompt_token_ids(self._tokenizer, prompt, request.prefix)
        self._unfinished += request.num_completions
        if len(ids) >= self._max_model_len:
            empty = (Output("", "error", 0),) * request.num_completions
            group = group_of(request, prompt, len(ids), empty, PROMPT_TOO_LONG, self._max_model_len)
            self._refused.append(group)
            return
        self._requests += 1
        self._pending[self._requests] = _Pending(request, prompt)
        for attempt in range(request.num_completions):
            self._engine.add_request(
                f"{self._requests}:{attempt}",
                {"prompt_token_ids": ids},
                self._params,
                lora_request=self._adapter,
            )

    def cancel(self) -> None:
        if self._pending:
            ids = [
                f"{key}:{attempt}"
                for key, pending in self._pending.items()
                for attempt in range(pending.request.num_completions)
            ]
            self._engine.abort_request(ids)
        self._pending.clear()
        self._refused.clear()
        self._unfinished = 0

    def step(self) -> list[SampledGroup]:
        groups, self._refused = self._refused, []
        self._unfinished -= sum(len(group.outputs) for group in groups)
        if self._pending:
            for result in self._engine.step():
                if result.finished and (group := self._take(result)):
                    groups.append(group)
        return groups

    def _take(self, result: Any) -> SampledGroup | None:
        """Keep one completion; its group once all of it is there."""
        key, attempt = (int(part) for part in result.request_id.split(":"))
        pending = self._pending.get(key)
        if pending is None:
            return None
        (output,) = result.outputs
        pending.outputs[attempt] = self._output(output)
        self._unfinished -= 1
        if len(pending.outputs) < pending.request.num_completions:
            return None
        del self._pending[key]
        return group_of(
            pending.request,
            pending.prompt,
            len(result.prompt_token_ids),
            tuple(output for _, output in sorted(pending.outputs.items())),
        )

    def _output(self, output: Any) -> Output:
        asked = self._sampling.get("logprobs") is not None
        return Output(
            output.text,
            _FINISH_REASONS.get(output.finish_reason, "error"),
            len(output.token_ids),
            output.cumulative_logprob if asked else None,
        )

    @property
    def pending(self) -> int:
        return len(self._pending) + len(self._refused)

    @property
    def unfinished(self) -> int:
        return self._unfinished

    def release_device(self) -> None:
        """Move the weights to main memory and drop the KV cache, where there is a GPU."""
        if self._engine is None or self._asleep:
            return
        if self._engine.model_config.enable_sleep_mode:
            self._engine.sleep(level=1)
            self._asleep = True


def _same_weights(one: Policy, other: Policy) -> bool:
    """Whether two policies differ in their adapters only."""
    if one.adapter is None and other.adapter is None:
        return one.fingerprint == other.fingerprint
    return (one.model, one.revision) == (other.model, other.revision)


def local_checkpoint(policy: Policy) -> str:
    """The policy's folder; that of a hub id is the hub's local copy."""
    if os.path.isdir(policy.model):
        return policy.model
    from huggingface_hub import snapshot_download

    return snapshot_download(
        policy.model, revision=policy.revision, allow_patterns=["*.safetensors", "*.json"]
    )
