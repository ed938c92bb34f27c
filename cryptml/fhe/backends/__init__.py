"""Two ways from a segment to a circuit, behind one interface."""
