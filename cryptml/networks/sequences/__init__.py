"""A user's module as what it computes one after the other: one flat list of modules."""

import cryptml.networks.quiet  # noqa: F401 (before Brevitas)
from cryptml.networks.sequences.flat import flat_children, is_plain
from cryptml.networks.sequences.following import as_sequential

__all__ = ["as_sequential", "flat_children", "is_plain"]
