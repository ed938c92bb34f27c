"""Evaluation keys: their upload, whose they are, where they lie."""
