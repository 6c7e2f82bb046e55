"""Policies beside each other, for people to read; nothing is decided here."""
