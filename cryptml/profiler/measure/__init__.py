"""Segments, each measured once in processes of their own."""
