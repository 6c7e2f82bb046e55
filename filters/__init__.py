"""Verdicts on completions, and selection: which of them is trained on.

A filter (`kinds`) marks and never drops; `selection` alone decides. What is pure about a text is
in `ratchet.texts`; `stage` is the filter stage, `base` what a user's own filter is made of.
"""
