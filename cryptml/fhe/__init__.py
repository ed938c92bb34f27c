"""From a segment to a circuit: back ends, the client half, the server half."""
