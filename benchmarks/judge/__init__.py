"""`make bench-judge`: the shipped judge and three incumbents on the same simulated streams."""
