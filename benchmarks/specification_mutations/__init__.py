"""Client specifications of which numbers are changed; ``python -m benchmarks.specification_mutations`` prints what became of them."""
