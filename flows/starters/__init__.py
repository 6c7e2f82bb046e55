"""What `ratchet init` writes: a commented config for a situation that users start from.

`texts/` holds the configs; beside them is what is looked up of the user's data and model.
"""
