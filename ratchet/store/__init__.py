"""What is on disk: artifacts by identity, a run's ledger; no file ever torn.

No row's meaning is known here; rows are `ratchet.records`.
"""
