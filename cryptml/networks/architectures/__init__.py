"""Networks written with Brevitas layers: one file an architecture."""
