"""The bundles that are served, by the names of their networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.bundle.client import circuit_file
from cryptml.bundle.server import ServerBundle
from cryptml.errors import BundleError
from cryptml.fhe.parameters import OVERHEAD_BYTES
from cryptml_server.base.errors import UnknownModel, UnknownSegment


@dataclass(frozen=True)
class Circuit:
    """What requests for one server segment are checked against.

    Attributes:
        model: Of the bundle.
        index: Number among the model's server segments.
        segment: Its first layer, and the one behind its last.
        folder: Of the compiled circuit.
        identity: SHA-256 of its client specification: what ciphertexts are made for.
        key_set: Names the key set that it takes, which other circuits may share.
        input_bytes: Least and most bytes of an encrypted input.
        key_bytes: Least and most bytes of evaluation keys.
    """

    model: str
    index: int
    segment: tuple[int, int]
    folder: Path
    identity: str
    key_set: str
    input_bytes: tuple[int, int]
    key_bytes: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Model:
    """One served bundle."""

    bundle: ServerBundle
    circuits: tuple[Circuit, ...]

    def circuit(self, index: int) -> Circuit:
        """Return a server segment.

        Raises:
            UnknownSegment: If there is none of that number.
        """
        if not 0 <= index < len(self.circuits):
            raise UnknownSegment(
                f"model {self.bundle.model!r} has server segments 0 to {len(self.circuits) - 1}, not {index}",
            )
        return self.circuits[index]

    def summary(self) -> dict[str, Any]:
        """Return the model's entry in the list of models."""
        return {"model": self.bundle.model, "split": self.bundle.split, "digest": self.bundle.digest}

    def details(self) -> dict[str, Any]:
        """Return segments, shapes, sizes and digests."""
        segments = [
            {
                "index": circuit.index,
                "circuit": circuit.identity,
                **{
                    name: description[name]
                    for name in (
                        "start",
                        "stop",
                        "backend",
                        "p_error",
                        "security_bits",
                        "failure_probability",
                        "key_set",
                        "bootstraps",
                        "lookup_bits",
                        "evaluation_key_bytes",
                        "input_bytes",
                        "output_bytes",
                    )
                },
                "input_shape": description["reads"]["shape"],
                "output_shape": description["writes"]["shape"],
            }
            for circuit, description in zip(self.circuits, self.bundle.circuits, strict=True)
        ]
        return {**self.summary(), "segments": segments, "client_bundle": dict(self.bundle.client_files)}


class ModelRegistry:
    """All models of a service.

    Args:
        folders: Of the bundles.

    Raises:
        BundleError: If one is damaged, or two have one name.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._models: dict[str, Model] = {}
        for folder in folders:
            bundle = ServerBundle.load(folder)
            if bundle.model in self._models:
                raise BundleError(f"two bundles hold model {bundle.model!r}; serve one of them")
            self._models[bundle.model] = Model(bundle, tuple(_circuits(bundle)))

    @property
    def models(self) -> Mapping[str, Model]:
        """The models by name."""
        return self._models

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """The server segments of all models."""
        return tuple(circuit for model in self._models.values() for circuit in model.circuits)

    @property
    def most_key_sets(self) -> int:
        """Key sets that a client of one model has, of the model that takes most."""
        return max((len({circuit.key_set for circuit in model.circuits}) for model in self._models.values()), default=0)

    def find(self, name: str) -> Model:
        """Return a model.

        Raises:
            UnknownModel: If there is none of that name.
        """
        model = self._models.get(name)
        if model is None:
            raise UnknownModel(
                f"there is no model of that name here; there are: {', '.join(sorted(self._models))}",
            )
        return model


def _circuits(bundle: ServerBundle) -> list[Circuit]:
    return [
        Circuit(
            model=bundle.model,
            index=index,
            segment=(description["start"], description["stop"]),
            folder=bundle.circuit_folder(index),
            identity=bundle.client_files[circuit_file(index)]["sha256"],
            key_set=description["key_set"],
            input_bytes=_bounds(description["input_bytes"]),
            key_bytes=_bounds(description["evaluation_key_bytes"]),
        )
        for index, description in enumerate(bundle.circuits)
    ]


def _bounds(payload: int) -> tuple[int, int]:
    return payload, payload + OVERHEAD_BYTES
