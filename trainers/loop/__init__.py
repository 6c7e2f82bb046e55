"""What all trainings share once they run: the trainer's additions, stops, state, checkpoints.

What one kind alone needs is in that kind's room; rows and their order are in `trainers.data`.
"""
