"""Child processes: started, spoken to, and ended with the one that started them.

`child` is the parent's end of one, `parent` how one watches its parent, `pool` several alike.
What the children do lives with its owner (`samplers.serving`, `trainers.launch`, …).
"""
