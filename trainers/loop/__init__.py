"""What all trainings share, inside the worker: order, tokens, checkpoints, stops, what TRL is told.

What one kind alone needs is in that kind's room.
"""
