"""A data set as the tensors that a module trains on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from cryptml.datasets.base import Dataset, Indices
from cryptml.errors import DatasetError, SettingError
from cryptml.networks.boundary import FloatArray
from cryptml.networks.front_ends import FrontEnd, Standardisation
from cryptml.networks.modules.blocks import value_of
from cryptml.networks.network import Network, probabilities
from cryptml.training.augmentation import augment

BATCH = 256
"""Regions predicted at a time, which bounds the memory."""

MOST_BYTES = 4 << 30
"""Of all views together."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Regions behind a front end in several views, and their labels.

    Views are made from the pictures, before any front end, and once for all epochs: what a front end costs is paid once, and a
    teacher that looks at pictures sees the very view whose features its student sees.

    Attributes:
        dataset: What they were made from, in the same order.
        inputs: (n, views, *shape) float32, what a network reads; view 0 is the region as it is.
        pictures: (n, views, 1, side, side) float32, the same views standardised, what a teacher reads.
        labels: (n,) int64.
        front_end: What the inputs went through.
    """

    dataset: Dataset
    inputs: Tensor
    pictures: Tensor
    labels: Tensor
    front_end: FrontEnd

    @staticmethod
    def of(
        dataset: Dataset,
        front_end: FrontEnd,
        *,
        views: int = 1,
        seed: int = 0,
        augmentation: str | None = None,
        tell: Callable[[int], None] | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> Examples:
        """Put a data set through the front end.

        Args:
            dataset: Of the front end's side.
            front_end: Of the network.
            views: 1 gives the regions as they are, more add that many less one variants of each.
            seed: Of the variants.
            augmentation: One of `cryptml.datasets.base.AUGMENTATIONS`, what variants may differ in; the data set's own if None.
            tell: Hears how many views are ready, after each.
            most_bytes: That all views together may take.

        Raises:
            DatasetError: If the pictures have another side than the front end takes.
            SettingError: If so many views take more than ``most_bytes``.
        """
        if dataset.side != front_end.side:
            raise DatasetError(
                f"the pictures of {dataset.name} have a side of {dataset.side} pixels where the network takes "
                f"{front_end.side}; load the data set with that side"
            )
        plain = Standardisation(front_end.side)
        values = dataset.side**2 + (0 if front_end == plain else math.prod(front_end.shape))
        if views * len(dataset) * values * 4 > most_bytes:
            raise SettingError(
                f"{views} views of {len(dataset)} pictures of side {dataset.side} take {views * len(dataset) * values * 4 / 1e9:.1f} GB "
                f"where {most_bytes / 1e9:.1f} are allowed; choose fewer views, a smaller side or fewer pictures"
            )
        regions = torch.tensor(dataset.images)[:, None]
        generator = torch.Generator().manual_seed(seed)
        kind = dataset.augmentation if augmentation is None else augmentation
        pictures, inputs = [], []
        for view in range(views):
            variant = augment(regions, generator, kind) if view else regions
            pixels = variant[:, 0].numpy()
            pictures.append(torch.from_numpy(plain.apply(pixels)))
            inputs.append(pictures[-1] if front_end == plain else torch.from_numpy(front_end.apply(pixels)))
            if tell is not None:
                tell(view + 1)
        shown = torch.stack(pictures, dim=1)
        read = shown if front_end == plain else torch.stack(inputs, dim=1)
        return Examples(dataset, read, shown, torch.tensor(dataset.labels), front_end)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.dataset.classes)

    def take(self, indices: Indices) -> Examples:
        """Return the examples at some positions, in that order."""
        chosen = torch.from_numpy(indices)
        pictures = self.pictures[chosen]
        inputs = pictures if self.inputs is self.pictures else self.inputs[chosen]
        return Examples(self.dataset.take(indices), inputs, pictures, self.labels[chosen], self.front_end)

    def for_training(self) -> tuple[Examples, Examples]:
        """Return those that are learned from, and those that tell the best epoch.

        Raises:
            DatasetError: If one of the two subsets is empty.
        """
        require_training_subsets(self.dataset)
        return self.subset("train"), self.subset("validation")

    def subset(self, name: str) -> Examples:
        """Return those of one subset of the data set.

        Raises:
            DatasetError: If it is empty.
        """
        self.dataset.subset(name)
        return self.take(np.flatnonzero(np.array(self.dataset.subsets) == name))

    def require_every_class(self) -> None:
        """Refuse examples that lack a class.

        Raises:
            DatasetError: Naming the classes.
        """
        missing = [name for label, name in enumerate(self.dataset.classes) if label not in self.dataset.labels]
        if missing:
            raise DatasetError(
                f"{self.dataset.name} has no picture of {', '.join(missing)} in the part used here; "
                "training and validation need every class, so add pictures or divide the set in another way"
            )

    def for_teacher(self) -> Examples:
        """Return the same examples with the pictures for inputs."""
        return replace(self, inputs=self.pictures, front_end=Standardisation(self.dataset.side))

    def class_weights(self) -> Tensor:
        """Return (classes,) float32, n / (classes * count): every class weighs the same in all, and 1 on average."""
        counts = torch.bincount(self.labels, minlength=self.classes)
        return len(self.labels) / (self.classes * counts.to(torch.float32))


def require_training_subsets(dataset: Dataset) -> None:
    """Refuse a data set without pictures to train on, or without others that tell the best epoch.

    Raises:
        DatasetError: Naming how many pictures are in which subset.
    """
    missing = [name for name in ("train", "validation") if name not in dataset.subsets]
    if missing:
        counts = ", ".join(f"{dataset.subsets.count(name)} in {name}" for name in dict.fromkeys(dataset.subsets))
        instead = (
            f"write {missing[0]} for some {dataset.unit}s in the column subset of the index, or leave it empty, and they are divided"
            if dataset.sources
            else "choose a larger set"
        )
        raise DatasetError(
            f"{dataset.name} has {counts} and none in {' and '.join(missing)}, which a training needs; {instead}"
        )


def predict_program(network: Network, inputs: Tensor) -> FloatArray:
    """Return the probabilities (n, classes) float32 of an integer program, for inputs as `predict` takes them."""
    return probabilities(np.concatenate([network.logits_from(part.numpy()) for part in torch.split(inputs, BATCH)]))


def predict(module: nn.Module, inputs: Tensor) -> FloatArray:
    """Return the probabilities (n, classes) float32 of a float or Brevitas module, left in evaluation mode.

    Args:
        module: Gives logits (batch, classes).
        inputs: (n, *shape) float32, behind the front end.
    """
    module.eval()
    with torch.no_grad():
        rows = [value_of(module(part)).softmax(dim=1).numpy() for part in torch.split(inputs, BATCH)]
    return np.concatenate(rows).astype(np.float32)
