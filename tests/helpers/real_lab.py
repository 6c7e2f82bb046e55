"""Trains the real model a step at a time and asks it in both engines, each thing once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial

import torch
from transformers import LlamaForCausalLM

from ratchet.generation.engine import Request, RequestQueue, Sampling
from ratchet.generation.prompts import PromptConfig, render_prompt
from ratchet.policy import Policy
from ratchet.records import DpoRow, GrpoRow, SftRow
from samplers.config import TransformersEngineConfig, VllmEngineConfig
from samplers.engines.transformers import TransformersEngine
from samplers.serving.client import EngineClient
from tests.helpers.training_bench import Bench
from trainers import stage
from trainers.config import DpoConfig, GrpoConfig, LoraConfig, SftConfig
from trainers.data.tokens import IGNORED
from trainers.dpo.training import PlannedDpoTrainer
from trainers.export.job import ExportJob, write_checkpoint
from trainers.grpo.training import PlannedGrpoTrainer
from trainers.sft.training import PlannedSftTrainer

PROBLEMS = [
    "Tom has 3 apples and buys 4 more. How many has he? Answer in one word.",
    "What is 12 - 5? Say the number only.",
]
COMPLETIONS = ["He has 3 + 4 = 7 apples. The answer is \\boxed{7}.", "\\boxed{7}"]
WRONG = ["Tom has many apples, so the answer is 12.", "17\n\n"]

SHORT = {"max_steps": 1, "max_length": 256, "dtype": "bfloat16"}
WEIGHTS = {
    "lora": {"lora": LoraConfig(rank=8, alpha=16), "learning_rate": 5e-3},
    # In bfloat16 a weight has 8 bits, so that a much smaller step would round away.
    "full": {"learning_rate": 2e-4},
}
DRAWN = {
    "batch_size": 8,
    "group_size": 4,
    "max_tokens": 16,
    # Ends at other lengths are what sets the completions of a short answer apart.
    "rewards": [{"kind": "length", "free_tokens": 0, "max_tokens": 16}],
}


@dataclass(frozen=True)
class Learned:
    """Token ids that a step was made on, row by row, without padding."""

    prompts: list[list[int]]
    completions: list[list[int]]


def kept(ids, mask):
    """The rows' ids where the mask is on."""
    return [row[on.bool()].tolist() for row, on in zip(ids, mask, strict=True)]


class Spy:
    """Keeps the named tensors of each call of a method that a batch goes through."""

    def __init__(self, patch, owner, name):
        self.calls, method = [], getattr(owner, name)

        def spied(*arguments, **named):
            found = next((one for one in arguments if isinstance(one, dict)), named)
            self.calls.append({k: v.clone() for k, v in found.items() if torch.is_tensor(v)})
            return method(*arguments, **named)

        patch.setattr(owner, name, spied)


class InProcess:
    """The transformers engine as a `Completer` of this process, where a test can look inside."""

    def __init__(self, dtype):
        config = TransformersEngineConfig(dtype=dtype, batch_size=20, device="cpu")
        self._engine = TransformersEngine(config, PromptConfig())

    def generate(self, policy, sampling, requests):
        self._engine.load(policy)
        self._engine.configure(sampling)
        for request in iter(requests.take, None):
            self._engine.add(request)
        while self._engine.pending:
            yield from self._engine.step()

    def release_device(self):
        self._engine.release_device()

    def close(self):
        pass


def start_vllm(root, dtype, *, lora=False):
    config = VllmEngineConfig(dtype=dtype, max_num_seqs=20, max_model_len=1024, enforce_eager=True)
    return EngineClient(
        config, PromptConfig(), root / f"vllm-{dtype}{'-lora' * lora}.log", lora=lora
    )


class Lab:
    """What was trained and asked so far."""

    def __init__(self, root, base, tokenizer, patch):
        self.root, self.base, self.tokenizer, self.patch = root, base, tokenizer, patch
        self.bench = Bench(root, base, patch)
        self._trained, self._exported, self._engines, self._answers = {}, {}, {}, {}

    def close(self):
        for engine in self._engines.values():
            engine.close()

    # Training

    def prompts(self):
        return [render_prompt(self.tokenizer, PromptConfig(), problem) for problem in PROBLEMS]

    def train(self, kind, weights):
        """(artifact, what was learned) of one step in bfloat16."""
        if (kind, weights) not in self._trained:
            step = {"sft": self._sft, "dpo": self._dpo, "grpo": self._grpo}[kind]
            with self.patch.context() as patch:
                self._trained[kind, weights] = step(patch, {**SHORT, **WEIGHTS[weights]})
        return self._trained[kind, weights]

    def sft_rows(self):
        return [
            SftRow(problem_id=f"p{at}", attempt=0, prompt=prompt, completion=text, weight=1.0)
            for at, (prompt, text) in enumerate(zip(self.prompts(), COMPLETIONS, strict=True))
        ]

    def grpo_rows(self):
        pairs = enumerate(zip(PROBLEMS, self.prompts(), strict=True))
        return [
            GrpoRow(problem_id=f"p{at}", problem=problem, prompt=prompt, reference_answer="7")
            for at, (problem, prompt) in pairs
        ]

    def _sft(self, patch, settings):
        spy = Spy(patch, PlannedSftTrainer, "compute_loss")
        artifact = self.bench.train(SftConfig(batch_size=2, **settings), self.sft_rows())
        (seen,) = spy.calls
        learned = seen["labels"] != IGNORED
        return artifact, _split(seen["input_ids"], seen["attention_mask"], learned)

    def _dpo(self, patch, settings):
        spy = Spy(patch, PlannedDpoTrainer, "_forward")
        sides = zip(self.prompts(), COMPLETIONS, WRONG, strict=True)
        rows = [
            DpoRow(
                problem_id=f"p{at}",
                chosen_attempt=0,
                rejected_attempt=1,
                prompt=prompt,
                chosen=chosen,
                rejected=rejected,
            )
            for at, (prompt, chosen, rejected) in enumerate(sides)
        ]
        artifact = self.bench.train(DpoConfig(batch_size=2, **settings), rows)
        seen = spy.calls[-1]
        learned = seen["completion_mask"].bool()
        return artifact, _split(seen["input_ids"], seen["attention_mask"], learned)

    def _grpo(self, patch, settings):
        drawn = Spy(patch, LlamaForCausalLM, "generate")
        spy = Spy(patch, PlannedGrpoTrainer, "_compute_loss")
        artifact = self.bench.train(GrpoConfig(**{**settings, **DRAWN}), self.grpo_rows())
        asked = kept(drawn.calls[0]["input_ids"], drawn.calls[0]["attention_mask"])
        seen = spy.calls[0]
        prompts = kept(seen["prompt_ids"], seen["prompt_mask"])
        completions = kept(seen["completion_ids"], seen["completion_mask"])
        return artifact, Learned([*asked, *prompts], completions)

    def policy(self, kind, weights):
        artifact, _ = self.train(kind, weights)
        return stage.checkpoint_policy(artifact, self.base, iteration=0)

    def export(self, kind, weights, dtype):
        """The trained checkpoint, written for others, as a policy."""
        key = f"{kind}-{weights}-{dtype}"
        if key not in self._exported:
            folder = self.root / key / "exported"
            folder.mkdir(parents=True)
            policy = asdict(self.policy(kind, weights))
            job = ExportJob(policy=policy, folder=str(folder), dtype=dtype, merged=True)
            write_checkpoint(job, folder.parent)
            self._exported[key] = Policy(fingerprint=key, model=str(folder))
        return self._exported[key]

    # Engines

    def engine(self, kind, dtype):
        """`vllm`, in a process of its own; `vllm-lora`, which takes adapters, and is three times as
        slow for it on a CPU; or `transformers`, in this process."""
        start = {
            "vllm": partial(start_vllm, self.root, dtype),
            "vllm-lora": partial(start_vllm, self.root, dtype, lora=True),
            "transformers": partial(InProcess, dtype),
        }[kind]
        if (kind, dtype) not in self._engines:
            self._engines[kind, dtype] = start()
        return self._engines[kind, dtype]

    def greedy(self, kind, dtype, policy, problems, max_tokens=32):
        """One group a problem, in the problems' order."""
        key = (kind, dtype, policy.fingerprint, tuple(problems), max_tokens)
        if key not in self._answers:
            sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens, seed=0)
            asked = (Request(str(at), str(at), text, 1) for at, text in enumerate(problems))
            groups = self.engine(kind, dtype).generate(policy, sampling, RequestQueue(asked))
            self._answers[key] = sorted(groups, key=lambda group: int(group.problem_id))
        return self._answers[key]


def _split(ids, mask, learned):
    return Learned(kept(ids, mask.bool() & ~learned), kept(ids, learned))


def texts(groups):
    """The completions of groups of one."""
    return [group.outputs[0].completion for group in groups]
