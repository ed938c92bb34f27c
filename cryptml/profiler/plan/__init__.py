"""From measured segments to splits: composition, estimates, frontier, choice, the report."""
