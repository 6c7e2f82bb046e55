"""The loss of preference pairs, as plain arithmetic on their log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from trainers.config import DpoConfig


@dataclass(frozen=True, slots=True)
class PairLogps:
    """Of a batch of pairs: sums of log-probabilities over each completion, in nats, and lengths.

    Every tensor has shape (pairs,). The policy's carry gradients, the reference's don't. Lengths
    count the tokens of a completion, end token included.
    """

    chosen: torch.Tensor
    rejected: torch.Tensor
    reference_chosen: torch.Tensor
    reference_rejected: torch.Tensor
    chosen_length: torch.Tensor
    rejected_length: torch.Tensor


@dataclass(frozen=True, slots=True)
class PairLosses:
    """What a batch of pairs gives; every tensor has shape (pairs,).

    A reward is beta times the log-ratio to the reference, divided by the length where the config
    says so; `chosen_nll` is in nats per token.
    """

    loss: torch.Tensor
    chosen_reward: torch.Tensor
    rejected_reward: torch.Tensor
    chosen_nll: torch.Tensor


def pair_losses(config: DpoConfig, logps: PairLogps) -> PairLosses:
    """The loss of each pair; its formula and sources stand at `DpoConfig`."""
    chosen_ratio = logps.chosen - logps.reference_chosen
    rejected_ratio = logps.rejected - logps.reference_rejected
    if config.length_normalised:
        chosen_ratio = chosen_ratio / logps.chosen_length
        rejected_ratio = rejected_ratio / logps.rejected_length
    chosen, rejected = config.beta * chosen_ratio, config.beta * rejected_ratio
    smooth = config.label_smoothing
    preference = -(1 - smooth) * logsigmoid(chosen - rejected)
    preference = preference - smooth * logsigmoid(rejected - chosen)
    nll = -logps.chosen / logps.chosen_length
    loss = config.dpo_weight * preference + config.nll_weight * nll
    return PairLosses(loss, chosen.detach(), rejected.detach(), nll.detach())
