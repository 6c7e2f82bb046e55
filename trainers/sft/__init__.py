"""SFT: rows to token ids and labels, and the training. Settings are in `trainers.config`."""
