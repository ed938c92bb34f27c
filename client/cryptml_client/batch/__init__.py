"""Many pictures in one run that can be interrupted, and the table of their answers."""
