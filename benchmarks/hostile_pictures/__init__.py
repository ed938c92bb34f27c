"""Damaged pictures; ``python -m benchmarks.hostile_pictures`` prints what reading them came to."""
