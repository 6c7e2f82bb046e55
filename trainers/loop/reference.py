"""Where the reference policy of DPO, or of GRPO's KL term, is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ratchet.policy import Policy
from trainers.config import DpoConfig, GrpoConfig


@dataclass(frozen=True, slots=True)
class Reference:
    """Where the reference's weights are found.

    `model`: in the model that is about to be trained; `below_adapter`: there, with its adapter
    switched off; `base`: nowhere yet, so the base model is to be loaded.
    """

    place: Literal["model", "below_adapter", "base"]
    base: Policy

    @classmethod
    def of(cls, config: DpoConfig | GrpoConfig, start: Policy, base: Policy) -> Reference:
        """The place where the policy that `config.reference` names is found."""
        has_base_below = config.lora and (start.model, start.revision) == (
            base.model,
            base.revision,
        )
        if config.reference == "base" and start.fingerprint != base.fingerprint:
            return cls("below_adapter" if has_base_below else "base", base)
        is_new_adapter = config.lora and start.adapter is None
        return cls("below_adapter" if is_new_adapter else "model", base)
