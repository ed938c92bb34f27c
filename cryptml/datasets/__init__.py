"""Labelled pictures for training and measuring: one file a data set, and a registry that knows them by name."""

from __future__ import annotations

from cryptml.datasets.base import Dataset
from cryptml.datasets.duplicates import find_duplicates
from cryptml.datasets.options import LoadOptions
from cryptml.datasets.registry import describe_datasets, load_data, load_dataset

__all__ = ["Dataset", "LoadOptions", "describe_datasets", "find_duplicates", "load_data", "load_dataset"]
