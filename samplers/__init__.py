"""Completions from a policy: what to ask, what answers, and the process between the two.

`stage` is the sample stage. Nothing here judges a completion, nor knows what is trained on it.
"""
