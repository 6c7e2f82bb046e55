"""Problem sets: read, made, checked by the grader, and kept apart from each other.

`load` reads any source into rows, `sets` is the stage; `overlap` and `disjoint` say what two sets
share, `reference_check` whether an answer can be graded at all. Grading itself is `verifier`'s.
"""
