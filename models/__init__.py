"""Models that the project comes with, and what makes those that it does not."""
