"""GRPO: prompts, the reference of the KL term, and the training. Its rewards are a room beside."""
