"""Is it better? Evaluations of one policy, metrics over them, and the gate between two.

`stage` is the eval stage. Completions are asked for as sampling asks for them
(`ratchet.generation`), graded by the one grader, and never trained on.
"""
