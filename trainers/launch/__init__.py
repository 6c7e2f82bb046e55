"""The process that trains: whether this machine can, its start, its messages, its end."""
