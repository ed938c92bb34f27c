"""Trainable modules that become integer layers; they need torch and Brevitas."""
