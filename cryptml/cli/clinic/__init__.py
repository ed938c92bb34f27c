"""Commands of a clinic."""
