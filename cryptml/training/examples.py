"""A data set as the tensors that a module trains on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cryptml.datasets.base import Dataset
from cryptml.errors import DatasetError
from cryptml.networks.architectures.blocks import value_of
from cryptml.networks.boundary import FloatArray
from cryptml.networks.front_end import Standardisation

BATCH = 256
"""Regions predicted at a time, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Regions behind the front end, and their labels.

    Attributes:
        name: Of the data set.
        inputs: (n, 1, side, side) float32, standardised.
        labels: (n,) int64; every class occurs.
        classes: Number of classes.
    """

    name: str
    inputs: Tensor
    labels: Tensor
    classes: int

    @staticmethod
    def of(dataset: Dataset, front_end: Standardisation) -> Examples:
        """Put a data set through the front end.

        Raises:
            DatasetError: If the pictures have another side than the front end takes, or a class does not occur.
        """
        if dataset.side != front_end.side:
            raise DatasetError(
                f"the pictures of {dataset.name} have a side of {dataset.side} pixels where the network takes "
                f"{front_end.side}; load the data set with that side"
            )
        missing = [name for label, name in enumerate(dataset.classes) if label not in dataset.labels]
        if missing:
            raise DatasetError(
                f"{dataset.name} has no picture of {', '.join(missing)} in the part used here; "
                "training and validation need every class, so add pictures or divide the set in another way"
            )
        inputs = torch.from_numpy(front_end.apply(dataset.images))
        return Examples(dataset.name, inputs, torch.tensor(dataset.labels), len(dataset.classes))

    def class_weights(self) -> Tensor:
        """Return (classes,) float32, n / (classes * count): every class weighs the same in all, and 1 on average."""
        counts = torch.bincount(self.labels, minlength=self.classes)
        return len(self.labels) / (self.classes * counts.to(torch.float32))


def predict(module: nn.Module, inputs: Tensor) -> FloatArray:
    """Return the probabilities (n, classes) float32 of a float or Brevitas module, left in evaluation mode.

    Args:
        module: Gives logits (batch, classes).
        inputs: (n, 1, side, side) float32, standardised.
    """
    module.eval()
    with torch.no_grad():
        rows = [value_of(module(part)).softmax(dim=1).numpy() for part in torch.split(inputs, BATCH)]
    return np.concatenate(rows).astype(np.float32)
