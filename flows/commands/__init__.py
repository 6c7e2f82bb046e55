"""Subcommands that are more than a line of `flows.cli`: a file each."""
