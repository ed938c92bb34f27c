"""A hostile service, played for real against the real client; ``python -m benchmarks.hostile_service`` prints what became of the client."""
