"""Key sets on disk."""
