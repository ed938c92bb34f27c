"""How good a network is: curves, intervals, agreement, baselines."""
