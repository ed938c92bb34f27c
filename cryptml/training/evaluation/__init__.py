"""How good a network is: curves, intervals, agreement, the model card."""
