"""Who is promoted: paired answers and the decision on them, guards, and the gate stage."""
