"""Trainable modules that become integer layers; they need torch and Brevitas."""

import cryptml.networks.quiet  # noqa: F401 (before Brevitas)
from cryptml.networks.modules.blocks import ResidualBlock
from cryptml.networks.modules.rounded_accumulator import RoundedAccumulator

__all__ = ["ResidualBlock", "RoundedAccumulator"]
