"""What the deep front end is made by: a network learns to tell the properties of synthetic scenes, and keeps its convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn
from torch.nn import functional

from cryptml.errors import SettingError
from cryptml.files import require_writable, sha256, write_bytes
from cryptml.listening import NOTHING_KEPT, Listener, SilentListener, saying
from cryptml.networks.front_ends import Standardisation
from cryptml.networks.front_ends.deep import CELLS, KERNELS, STEPS, WIDTHS, Weights, weights_digest
from cryptml.training.fit import seeded
from cryptml.training.progress import EpochProgress
from cryptml.training.teachers.scenes import OF_MASS, PROPERTIES, draw_scenes
from cryptml.training.torch_settings import training_torch_settings

SIDE = 28
"""Of the scenes, in pixels."""

BATCH = 128
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2

JUDGED = 2048
"""Further scenes, over which features are standardised and the network is judged."""

LEAST_DEVIATION = 1e-3
"""Of a feature: one that never moves is not blown up."""

STEPS_AN_EPOCH = 100
"""After so many the progress is told."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A deep front end's weights, and how well they see.

    Attributes:
        weights: As `cryptml.networks.front_ends.deep.features` takes them.
        explained: For each property of `PROPERTIES` the share of its variance that a linear map of the features tells on new scenes;
            a mass counts as much as it stands out.
    """

    weights: Weights
    explained: dict[str, float]

    def pack(self) -> bytes:
        """Return the weights as safetensors."""
        return bytes(save({name: np.ascontiguousarray(value) for name, value in self.weights.items()}))


@dataclass(frozen=True)
class WrittenWeights:
    """Weights of a deep front end on disk.

    Attributes:
        file: Safetensors.
        digest: SHA-256 (hexadecimal) of the file.
        as_in_the_package: Whether they are those that every installation has.
        explained: See `Pretrained`.
    """

    file: Path
    digest: str
    as_in_the_package: bool
    explained: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return what is to be known of the weights as JSON values."""
        return {"digest": self.digest, "as_in_the_package": self.as_in_the_package, "explained": self.explained}


def pretrain_to(
    out: Path, steps: int = STEPS, seed: int = 0, *, force: bool = False, listener: Listener | None = None
) -> WrittenWeights:
    """Pretrain on synthetic scenes, and write the weights; see `pretrain`.

    Args:
        out: The file, safetensors; its folder is made where it is missing.
        steps: Of `BATCH` new scenes each, 10 or more.
        seed: Of weights and scenes, 0 to 2^32 - 1.
        force: Replace a file that is there.
        listener: Hears of progress.

    Raises:
        SettingError: If the file exists and is not to be replaced.
    """
    if out.exists() and not force:
        raise SettingError(f"{out} exists; choose another file or pass `force` to replace it")
    listener = listener if listener is not None else SilentListener()
    require_writable(out.absolute().parent, SettingError)
    out.parent.mkdir(parents=True, exist_ok=True)
    with saying(NOTHING_KEPT), training_torch_settings(), listener.bar("pretraining", steps) as bar:
        pretrained = pretrain(
            steps, seed, lambda step, total, loss, _auc: bar(step, total, f"pretraining: loss {loss:.3f}")
        )
    packed = pretrained.pack()
    write_bytes(out, packed)
    digest = sha256(packed)
    return WrittenWeights(out, digest, digest == weights_digest(), pretrained.explained)


class _SceneNetwork(nn.Module):
    """Convolutions whose averages, all together, tell the properties of a scene."""

    def __init__(self) -> None:
        super().__init__()
        before, blocks = 1, []
        for kernel, width in zip(KERNELS, WIDTHS, strict=True):
            convolution = nn.Conv2d(before, width, kernel, padding=kernel // 2, bias=False)
            blocks.append(nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU()))
            before = width
        self.blocks = nn.ModuleList(blocks)
        self.tell = nn.Linear(sum(WIDTHS) * CELLS**2, len(PROPERTIES))

    def averages(self, x: Tensor) -> Tensor:
        """Return (batch, features) for (batch, 1, side, side)."""
        found = []
        for number, block in enumerate(self.blocks):
            x = block(functional.avg_pool2d(x, 2) if number else x)
            found.append(functional.adaptive_avg_pool2d(x, CELLS).flatten(1))
        return torch.cat(found, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, len(PROPERTIES)) for (batch, 1, side, side)."""
        told: Tensor = self.tell(self.averages(x))
        return told


def pretrain(steps: int, seed: int, progress: EpochProgress | None = None) -> Pretrained:
    """Pretrain a feature extractor on scenes that are drawn as they are needed; no data set is looked at.

    Args:
        steps: Of `BATCH` new scenes each, 10 or more.
        seed: Of weights and scenes; the same seed, machine and versions give the same weights.
        progress: Hears of every `STEPS_AN_EPOCH` steps and their loss.
    """
    random = np.random.default_rng(seed)
    with seeded(seed):
        module = _SceneNetwork()
    optimiser = torch.optim.AdamW(module.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    losses = []
    for step in range(1, steps + 1):
        pictures, properties = _draw(BATCH, random)
        loss = (_shares(properties) * (module(pictures) - properties).square()).mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if progress is not None and (step % STEPS_AN_EPOCH == 0 or step == steps):
            progress(step, steps, float(np.mean(losses[-STEPS_AN_EPOCH:])), None)
    module.eval()
    with torch.no_grad():
        pictures, properties = _draw(JUDGED, random)
        averages, told = module.averages(pictures).numpy(), module(pictures)
        shares = _shares(properties)
        missed = (shares * (told - properties).square()).sum(0) / (shares * properties.square()).sum(0)
    weights = _folded(module)
    weights["mean"] = averages.mean(axis=0)
    weights["deviation"] = np.maximum(averages.std(axis=0), LEAST_DEVIATION)
    return Pretrained(weights, {name: 1 - float(value) for name, value in zip(PROPERTIES, missed.numpy(), strict=True)})


def _draw(count: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    scenes = draw_scenes(count, SIDE, random)
    return torch.from_numpy(Standardisation(SIDE).apply(scenes.pictures)), torch.from_numpy(scenes.properties)


def _shares(properties: Tensor) -> Tensor:
    """Return how much each property of each scene counts: those of a mass as much as it stands out."""
    shares = torch.ones_like(properties)
    shares[:, OF_MASS] = properties[:, :1].abs()
    return shares


def _folded(module: _SceneNetwork) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Return the convolutions with their batch normalisation in weights and biases."""
    weights = {}
    for number, block in enumerate(module.blocks):
        convolution, norm = block[0], block[1]
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        weights[f"weight{number}"] = (convolution.weight * gain[:, None, None, None]).detach().numpy()
        weights[f"bias{number}"] = (norm.bias - norm.running_mean * gain).detach().numpy()
    return weights
