"""Measure segments, compose splits. So far: what splits there are."""
