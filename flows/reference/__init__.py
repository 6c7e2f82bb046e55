"""The run config described from its own classes: what `ratchet config` and docs/config.md show.

What the classes are lives with the stages; here is only how they are told.
"""
