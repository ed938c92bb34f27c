"""What a split reveals, to whom, and the attacks that show it."""
