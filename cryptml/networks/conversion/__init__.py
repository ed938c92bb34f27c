"""From a trained Brevitas network to its integer program."""

import cryptml.networks.quiet  # noqa: F401 (before Brevitas)
from cryptml.networks.conversion.convert import convert, largest_difference
from cryptml.networks.conversion.stages import Stage, read_stages

__all__ = ["Stage", "convert", "largest_difference", "read_stages"]
