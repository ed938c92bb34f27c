"""Attacks in what is said over correct HTTP: bundles, descriptions of jobs, lists."""
