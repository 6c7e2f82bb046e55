"""Child processes: started, spoken to, and ended with the one that started them.

What the children do lives with its owner (`samplers.serving`, `trainers.launch`, …).
"""
