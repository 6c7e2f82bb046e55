"""From training rows to batches of token ids: what is trained on, in which order, what is held out.

Decided before training, by the seed alone; the same for every kind.
"""
