"""A public network in an ONNX file that client and provider both hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cryptml.errors import NetworkError
from cryptml.networks.backbones import BackboneStore, Statistics
from cryptml.networks.backbones.limits import MOST_FEATURES, SIDES
from cryptml.networks.boundary import FloatArray
from cryptml.networks.front_ends.scaling import SCALINGS, STANDARD, scaled
from cryptml.networks.textures import random_textures

TEXTURES, SEED, DIGITS = 128, 7, 3
"""Synthetic pictures that mean and deviation of each feature are taken of, their seed, and the digits that are kept of both: what
machines compute differently is far behind these."""

LEAST_DEVIATION = 1e-3
"""As a share of the median deviation: a feature that hardly changes is not blown up."""


@dataclass(frozen=True)
class Backbone:
    """The features that an installed ONNX file gives for a region, of mean 0 and deviation 1 over synthetic pictures.

    A network names the file by its digest and nothing else comes with it: a client runs only files that its owner installed
    (`cryptml backbones install`), in a limited process.

    Attributes:
        side: Rows and columns of the region that it takes, in pixels.
        file: SHA-256 of the ONNX file.
        features: That it gives.
        scaling: One of `cryptml.networks.front_ends.scaling.SCALINGS`.
    """

    side: int
    file: str
    features: int
    scaling: str = STANDARD
    kind: ClassVar[str] = "backbone"

    def __post_init__(self) -> None:
        if self.scaling not in SCALINGS:
            raise NetworkError(f"a backbone has no scaling {self.scaling!r}; choose {', '.join(SCALINGS)}")
        if not (SIDES[0] <= self.side <= SIDES[1] and 1 <= self.features <= MOST_FEATURES):
            raise NetworkError(
                f"a backbone with side {self.side} and {self.features} features; side lies in [{SIDES[0]}, {SIDES[1]}], features in "
                f"[1, {MOST_FEATURES}]"
            )

    @staticmethod
    def of(name: str, side: int | None = None, scaling: str = STANDARD) -> Backbone:
        """Return the front end of an installed file.

        Args:
            name: Its name or digest.
            side: Of regions; the file's own, or 32 where that takes any, if None.
            scaling: One of `SCALINGS`.

        Raises:
            NetworkError: If it is not installed, does not take that side, or does not run.
        """
        found = BackboneStore().find(name)
        some = Backbone(found.side or 32 if side is None else side, found.digest, 1, scaling)
        return replace(some, features=len(some._statistics(BackboneStore()).mean))

    @property
    def shape(self) -> tuple[int]:
        """Shape of what it gives, (features,)."""
        return (self.features,)

    @property
    def description(self) -> str:
        """See `FrontEnd.description`."""
        return f"{SCALINGS[self.scaling]}, then {self.features} features of the public network with the digest {self.file[:16]}..."

    def require_installed(self) -> None:
        """Refuse to go on where the file is not installed, or cannot be run.

        Raises:
            NetworkError: With what to do.
        """
        BackboneStore().require(self.file)

    def apply(self, regions: FloatArray) -> FloatArray:
        """Return (batch, features) float32 for (batch, side, side) regions in [0, 1]; computed on the client.

        Raises:
            NetworkError: If the regions have another shape, or the file is not installed, was altered or does not run.
        """
        if regions.ndim != 3 or regions.shape[1:] != (self.side, self.side):
            raise NetworkError(f"regions of shape {regions.shape} do not fit; give (batch, {self.side}, {self.side})")
        store = BackboneStore()
        statistics = self._statistics(store)
        found = self._raw(store, regions)
        if found.shape[1:] != self.shape or statistics.mean.shape != self.shape:
            raise NetworkError(
                f"backbone {self.file[:12]}... gives {found.shape[1]} features where the network was trained with {self.features}; use "
                "its own"
            )
        return (found - statistics.mean) / statistics.deviation

    def _raw(self, store: BackboneStore, regions: FloatArray) -> FloatArray:
        return store.run(self.file, scaled(regions, self.scaling, store.require(self.file).channels))

    def _statistics(self, store: BackboneStore) -> Statistics:
        """Return mean and deviation of each feature on synthetic pictures, the same on every machine.

        Nothing that a network was trained on has a part in them, so that whoever has the file computes them anew.
        """
        known = store.remembered(self.file, self.side, self.scaling)
        if known is None:
            features = self._raw(store, random_textures(self.side, TEXTURES, SEED)).astype(np.float64)
            deviation = features.std(axis=0)
            moving = deviation[deviation > 0]
            least = LEAST_DEVIATION * float(np.median(moving)) if len(moving) else 1.0
            known = Statistics(_rounded(features.mean(axis=0)), _rounded(np.maximum(deviation, least)))
            store.remember(self.file, self.side, self.scaling, known)
        return known

    def to_json(self) -> dict[str, Any]:
        """Return the front end as JSON values; the file by its digest."""
        return {
            "kind": self.kind,
            "side": self.side,
            "file": self.file,
            "features": self.features,
            "scaling": self.scaling,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Backbone:
        """Read what `to_json` wrote; the caller has checked it against the schema. The file need not be installed."""
        return Backbone(data["side"], data["file"], data["features"], data["scaling"])


def _rounded(values: npt.NDArray[np.float64]) -> FloatArray:
    return np.array([float(f"{each:.{DIGITS}g}") for each in values], np.float32)
