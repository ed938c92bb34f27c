"""Splits run end to end over real HTTP on this machine, predicted beside measured."""
