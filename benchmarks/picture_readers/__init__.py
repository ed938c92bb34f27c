"""Pictures read by the product and by independent readers; ``python -m benchmarks.picture_readers`` compares them."""
