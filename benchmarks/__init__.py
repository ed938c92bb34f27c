"""Measurements that documents quote; each is run from the repository's root."""
