"""What `make bench` runs: a figure is measured here, and every claim of speed names its command."""
