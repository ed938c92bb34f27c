"""Trainable modules that become integer layers; they need torch and Brevitas."""

import cryptml.networks.quiet  # noqa: F401 (before Brevitas)
