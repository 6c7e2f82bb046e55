"""How completions are asked for, by sampling and evaluation alike.

The engine's Protocol, decoding, prompts, and shards of groups. Engines themselves are in
`samplers.engines`; what is asked of them, and when, is decided in `samplers.strategies`.
"""
