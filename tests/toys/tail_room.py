"""Tail training: rows are SFT's, the loss is on their ends alone."""
