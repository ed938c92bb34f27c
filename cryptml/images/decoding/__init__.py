"""Pictures are decoded by processes of their own, under limits."""
