"""Faults that a service must outlast; ``python -m benchmarks.faults`` prints what became of its jobs."""
