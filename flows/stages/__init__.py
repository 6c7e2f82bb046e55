"""The stages of a run, each joined to the session: rows and checkpoints are made, measured, and
decided on; the test set is read at the end.
"""
