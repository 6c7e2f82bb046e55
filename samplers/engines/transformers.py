"""The transformers engine: Hugging Face `generate` on left-padded batches.

For machines where vLLM does not run. Completions are drawn in rounds: what was queued first is
sorted by length, so that little of a batch is padding, and sampled batch by batch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    StoppingCriteria,
)

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
from samplers.config import TransformersEngineConfig

_BATCHES_PER_ROUND = 4


@dataclass
class _Asked:
    """A request and the completions of it that are there already."""

    request: Request
    prompt: str
    ids: list[int]
    max_new_tokens: int
    outputs: list[Output] = field(default_factory=list)


class _StopTexts(StoppingCriteria):  # type: ignore[misc]
    """Ends a row once a stop text is in it. Special tokens don't count as text.

    transformers' own criterion finds `b` in `<bos>`.
    """

    def __init__(self, tokenizer: Any, stops: tuple[str, ...], width: int) -> None:
        self._tokenizer = tokenizer
        self._stops = stops
        self._width = width
        self._tail = max(map(len, stops)) + 8

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        tail = input_ids[:, max(self._width, input_ids.shape[1] - self._tail) :]
        texts = self._tokenizer.batch_decode(tail, skip_special_tokens=True)
        ended = [any(stop in text for stop in self._stops) for text in texts]
        return torch.tensor(ended, device=input_ids.device)


class TransformersEngine:
    """One model of transformers; full weights are loaded anew, adapters by peft.

    No log probabilities are recorded: `generate` would keep every step's scores of the whole
    vocabulary for them.
    """

    def __init__(self, config: TransformersEngineConfig, prompt: PromptConfig) -> None:
        self._config = config
        self._prompt = prompt
        self._device = _device(config.device)
        self._model: Any = None
        self._tokenizer: Any = None
        self._ends: list[int] = []
        self._policy: Policy | None = None
        self._sampling: Sampling | None = None
        self._refused: list[SampledGroup] = []
        self._queue: deque[_Asked] = deque()
        self._round: list[_Asked] = []
        self._pending = 0
        self._unfinished = 0

    def load(self, policy: Policy) -> None:
        """Make `policy` the one that answers.

        Raises:
            InputError: if the checkpoint or the adapter can't be loaded.
        """
        if self._model is None or policy != self._policy:
            self._model = None  # the old weights go first: both may not fit
            try:
                self._model = self._read(policy)
            except (OSError, ValueError) as error:
                shown = policy.adapter or policy.model
                raise InputError(f"transformers can't load {shown}: {error}") from error
        self._model.to(self._device)
        self._policy = policy
        self._max_len = self._config.max_model_len or _context(self._model.config)

    def _read(self, policy: Policy) -> Any:
        trusted = {"revision": policy.revision, "trust_remote_code": policy.trust_remote_code}
        self._tokenizer = AutoTokenizer.from_pretrained(policy.model, **trusted)
        model = AutoModelForCausalLM.from_pretrained(
            policy.model, dtype=self._config.dtype, **trusted
        )
        if policy.adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, policy.adapter).merge_and_unload()
        self._ends = _end_ids(model.generation_config, self._tokenizer)
        # `generate` fills in what it is not told from here: the checkpoint's own repetition
        # penalty, min_p and the like, even where it is greedy. vLLM is told all, and so is this.
        model.generation_config = GenerationConfig()
        return model.eval()

    def configure(self, sampling: Sampling) -> None:
        """Set how the next requests are sampled, and seed torch.

        Raises:
            InputError: if transformers refuses the sampling parameters.
        """
        self._sampling = sampling
        try:
            self._try(sampling)
        except (ValueError, TypeError) as error:
            shown = dict(sampling.extra)
            raise InputError(
                f"transformers refuses the sampling parameters {shown}: {error}"
            ) from error
        torch.manual_seed(sampling.seed)

    def _try(self, sampling: Sampling) -> None:
        """Draw one token: only `generate` itself says whether it takes the parameters."""
        known = GenerationConfig().to_dict()
        if unknown := [name for name, _ in sampling.extra if name not in known]:
            raise ValueError(f"{', '.join(unknown)}: no such parameter")
        self._generate([[self._pad()]], [[1]], sampling, 1)

    def _generation(self, sampling: Sampling, max_new_tokens: int) -> Any:
        # 0 is no top_k; transformers' own default is 50.
        drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        settings = {
            "do_sample": sampling.temperature > 0,
            **(drawn if sampling.temperature > 0 else {}),
            "max_new_tokens": max_new_tokens,
            "eos_token_id": self._ends,
            "pad_token_id": self._pad(),
            **dict(sampling.extra),
        }
        return GenerationConfig(**settings)

    def _pad(self) -> int:
        pad = self._tokenizer.pad_token_id
        return int(pad) if pad is not None else next(iter(self._ends), 0)

    def add(self, request: Request) -> None:
        """Queue a request; a prompt that leaves no room for a token becomes a group of errors."""
        assert self._sampling is not None, "configure comes before add"
        prompt = render_prompt(self._tokenizer, self._prompt, request.problem)
        ids = prompt_token_ids(self._tokenizer, prompt, request.prefix)
        self._unfinished += request.num_completions
        room = self._max_len - len(ids)
        if room <= 0:
            empty = (Output("", "error", 0),) * request.num_completions
            group = group_of(request, prompt, len(ids), empty, PROMPT_TOO_LONG, self._max_len)
            self._refused.append(group)
            return
        asked = _Asked(request, prompt, ids, min(self._sampling.max_tokens, room))
        self._queue.extend([asked] * request.num_completions)
        self._pending += 1

    def cancel(self) -> None:
        self._queue.clear()
        self._round.clear()
        self._refused.clear()
        self._pending = 0
        self._unfinished = 0

    def step(self) -> list[SampledGroup]:
        """One batch; the groups that it completed."""
        groups, self._refused = self._refused, []
        batch = self._next_batch()
        self._unfinished -= len(batch) + sum(len(group.outputs) for group in groups)
        for asked, output in zip(batch, self._sample(batch), strict=True):
            asked.outputs.append(output)
            if len(asked.outputs) == asked.request.num_completions:
                self._pending -= 1
                groups.append(_group(asked))
        return groups

    def _next_batch(self) -> list[_Asked]:
        """Completions to draw together: of about one length, and with one limit."""
        if not self._round:
            size = min(len(self._queue), _BATCHES_PER_ROUND * self._config.batch_size)
            taken = [self._queue.popleft() for _ in range(size)]
            self._round = sorted(taken, key=lambda a: (a.max_new_tokens, len(a.ids)))
        limit = self._round[0].max_new_tokens if self._round else 0
        batch = [a for a in self._round[: self._config.batch_size] if a.max_new_tokens == limit]
        del self._round[: len(batch)]
        return batch

    def _sample(self, batch: list[_Asked]) -> list[Output]:
        if not batch or self._sampling is None:
            return []
        width = max(len(asked.ids) for asked in batch)
        padding = [[self._pad()] * (width - len(asked.ids)) for asked in batch]
        ids = [[*pad, *asked.ids] for pad, asked in zip(padding, batch, strict=True)]
        mask = [
            [0] * len(pad) + [1] * len(asked.ids) for pad, asked in zip(padding, batch, strict=True)
        ]
        drawn = self._generate(ids, mask, self._sampling, batch[0].max_new_tokens)
        return [self._output(row[width:]) for row in drawn]

    @torch.inference_mode()
    def _generate(
        self, ids: list[list[int]], mask: list[list[int]], sampling: Sampling, count: int
    ) -> list[list[int]]:
        """Rows of prompt and drawn tokens."""
        rows: list[list[int]] = self._model.generate(
            input_ids=torch.tensor(ids, device=self._device),
            attention_mask=torch.tensor(mask, device=self._device),
            generation_config=self._generation(sampling, count),
            stopping_criteria=self._stopping(sampling, len(ids[0])),
        ).tolist()
        return rows

    def _stopping(self, sampling: Sampling, width: int) -> list[Any]:
        if not sampling.stop:
            return []
        return [_StopTexts(self._tokenizer, sampling.stop, width)]

    def _output(self, tokens: list[int]) -> Output:
        """One row of the batch, cut at its end token or stop text; what follows is padding."""
        assert self._sampling is not None
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        kept = tokens if end is None else tokens[: end + 1]
        text: str = self._tokenizer.decode(tokens[:end], skip_special_tokens=True)
        cuts = [at for stop in self._sampling.stop if (at := text.find(stop)) >= 0]
        if cuts:
            return Output(text[: min(cuts)], "stop", self._tokens_to_stop(kept))
        reason: FinishReason = "length" if end is None else "stop"
        return Output(text, reason, len(kept))

    def _tokens_to_stop(self, tokens: list[int]) -> int:
        """How many tokens it took to write a stop text."""
        assert self._sampling is not None
        stops = self._sampling.stop

        def is_written(count: int) -> bool:
            text = self._tokenizer.decode(tokens[:count], skip_special_tokens=True)
            return any(stop in text for stop in stops)

        return bisect_left(range(len(tokens)), True, key=is_written)

    @property
    def pending(self) -> int:
        return self._pending + len(self._refused)

    @property
    def unfinished(self) -> int:
        return self._unfinished

    def release_device(self) -> None:
        """Move the weights to main memory."""
        if self._model is not None and self._device.type != "cpu":
            self._model.to("cpu")
            if self._device.type == "cuda":
                torch.cuda.empty_cache()


def _group(asked: _Asked) -> SampledGroup:
    return group_of(asked.request, asked.prompt, len(asked.ids), tuple(asked.outputs))


def _end_ids(generation: Any, tokenizer: Any) -> list[int]:
    """Tokens that end a completion: the checkpoint's and its tokenizer's, as vLLM has it."""
    ends = generation.eos_token_id
    named = [ends] if isinstance(ends, int) else list(ends or [])
    own = tokenizer.eos_token_id
    return named if own is None or own in named else [*named, own]


def _context(config: Any) -> int:
    """Longest sequence that the model was made for, in tokens."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", 1 << 20))


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
