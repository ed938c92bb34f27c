"""Every split of a network: segments are measured, splits composed of them, compared and chosen."""
