"""Evaluations that outlive their request."""
