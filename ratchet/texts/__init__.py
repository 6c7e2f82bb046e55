"""What a text says, as pure functions: its words and numbers, language, equations, shape.

Verdicts on it are `filters`'; its final answer is found and compared in `verifier`.
"""
