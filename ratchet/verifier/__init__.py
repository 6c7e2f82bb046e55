"""The one grader: whether a completion's final answer equals the reference.

`grader` is the way in. Rooms: `find` an answer, `compare` it exactly, and `symbolic`ally in a
process that can be killed. `file` grades whole files; docs/verifier.md tells the rules.
"""
