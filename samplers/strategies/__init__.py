"""What sampling asks for each problem, and when it has enough: one file a strategy.

All have the Protocol of `ratchet.generation.strategy`; none knows an engine. `build` chooses.
"""
