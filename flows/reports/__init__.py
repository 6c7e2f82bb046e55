"""What is said of a run, in words, tables and JSON; read from its ledger and its artifacts."""
