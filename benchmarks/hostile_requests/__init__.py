"""Hostile requests to a live service; ``python -m benchmarks.hostile_requests`` prints what became of it."""
