"""A support vector machine on deep features: the best teacher where pictures are few, because it has hardly anything to learn."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor, nn
from torch.nn import functional

from cryptml.networks.front_ends.deep import CELLS, KERNELS, shipped_weights
from cryptml.training.examples import Examples

COST = 1.0
"""Of a picture on the wrong side."""

REACH = 0.5
"""Of the Gaussian kernel ``exp(-REACH * |u - v|^2 / features)``, features being standardised."""

VIEWS = 5
"""Of every picture, that it learns from: the picture itself among them."""

_BATCH = 256


class DeepFeatures(nn.Module):
    """The front end `cryptml.networks.front_ends.Deep` in torch, for standardised pictures (batch, 1, side, side) of any side."""

    def __init__(self) -> None:
        super().__init__()
        for name, value in shipped_weights().items():
            self.register_buffer(name, torch.tensor(value))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, features)."""
        averages = []
        for number, kernel in enumerate(KERNELS):
            x = functional.avg_pool2d(x, 2) if number else x
            weight, bias = self.get_buffer(f"weight{number}"), self.get_buffer(f"bias{number}")
            x = functional.conv2d(x, weight, bias, padding=kernel // 2).relu()
            averages.append(functional.adaptive_avg_pool2d(x, CELLS).flatten(1))
        found: Tensor = (torch.cat(averages, dim=1) - self.get_buffer("mean")) / self.get_buffer("deviation")
        return found


class KernelMachine(nn.Module):
    """Support vector machines, one a class against the rest (one in all for two classes), with a Gaussian kernel.

    Args:
        machines: Fitted on the same standardised features.
        scaler: That standardised them.
    """

    def __init__(self, machines: list[SVC], scaler: StandardScaler) -> None:
        super().__init__()
        self.read = DeepFeatures()
        self.register_buffer("mean", torch.tensor(scaler.mean_, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(scaler.scale_, dtype=torch.float32))
        self.count = len(machines)
        for number, machine in enumerate(machines):
            for name, value in (
                ("vectors", machine.support_vectors_),
                ("weights", machine.dual_coef_[0]),
                ("offset", machine.intercept_[0]),
            ):
                self.register_buffer(f"{name}{number}", torch.tensor(value, dtype=torch.float32))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (batch, classes) logits: distances from the boundaries, in margins."""
        features = (self.read(pictures) - self.get_buffer("mean")) / self.get_buffer("deviation")
        found = []
        for number in range(self.count):
            vectors, weights = self.get_buffer(f"vectors{number}"), self.get_buffer(f"weights{number}")
            kernel = torch.exp(-REACH / features.shape[1] * torch.cdist(features, vectors).square())
            found.append(kernel @ weights + self.get_buffer(f"offset{number}"))
        if self.count == 1:
            found = [-found[0], found[0]]
        return torch.stack(found, dim=1)


def fit_kernel_machine(train: Examples) -> KernelMachine:
    """Fit to the first views of pictures, every class of which weighs the same.

    Args:
        train: What it learns from; every class occurs.
    """
    pictures = train.pictures[:, :VIEWS]
    read = DeepFeatures()
    with torch.no_grad():
        rows = torch.cat([read(part) for part in torch.split(pictures.flatten(0, 1), _BATCH)]).numpy()
    labels = np.repeat(train.labels.numpy(), pictures.shape[1])
    scaler = StandardScaler().fit(rows)
    rows = scaler.transform(rows)
    positives = [1] if train.classes == 2 else list(range(train.classes))
    machines = [
        SVC(C=COST, gamma=REACH / rows.shape[1], class_weight="balanced").fit(rows, labels == positive)
        for positive in positives
    ]
    return KernelMachine(machines, scaler).eval()
