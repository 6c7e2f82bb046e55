"""What answers requests: one file an engine, all with the Protocol of `ratchet.generation.engine`.

Heavy libraries are imported here alone, in the engine's process.
"""
