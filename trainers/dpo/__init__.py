"""DPO: pairs to token ids, the loss, and the training. Settings are in `trainers.config`."""
