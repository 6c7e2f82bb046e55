"""From verdicts to training rows: `stage` streams, the other files decide, as pure functions."""
