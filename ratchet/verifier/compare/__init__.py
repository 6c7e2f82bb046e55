"""Whether two answers are equal, exactly: forms, numbers, units, parts. No Math-Verify."""
