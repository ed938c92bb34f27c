"""What both halves of a circuit must know: shapes, ranges, sizes, probability of error. No weight, no key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryptml.errors import CircuitError, RangeError
from cryptml.fhe.parameters import CircuitParameters
from cryptml.fhe.security import SECURITY_BITS
from cryptml.files import sha256
from cryptml.networks.bins import Bins
from cryptml.networks.boundary import Boundary
from cryptml.networks.extent import IntArray
from cryptml.splits import Segment

LARGEST_SCALE = 1 << 20
"""Bound of a codec's scales, far above any that a build makes."""

LARGEST_OFFSET = 1 << 40
"""Bound of a codec's offsets: accumulators of over 20 bits begin far below 0. Floats of 64 bits hold such sums exactly."""


@dataclass(frozen=True)
class Codec:
    """The affine map between a boundary's integers and those of a compiled circuit.

    ``circuit_input = round(boundary * input_scale + input_offset)`` and
    ``boundary = round(circuit_output * output_scale + output_offset)``, scales a channel or one for all. Scales are 1 for
    a circuit made from the integer program. Where the segment begins with a table that rounds, clamps or is negacyclic, the client
    puts its values into the table's bins first, and the map begins from their numbers.
    """

    input_scale: tuple[float, ...] = (1.0,)
    input_offset: tuple[float, ...] = (0.0,)
    output_scale: tuple[float, ...] = (1.0,)
    output_offset: tuple[float, ...] = (0.0,)
    input_bins: Bins | None = None

    def require_fit(self, reads: Boundary, writes: Boundary) -> None:
        """Refuse a codec that does not fit the boundaries.

        Raises:
            CircuitError: If it has another number of channels, or a scale or offset that no honest build makes.
        """
        for name, boundary in (("input", reads), ("output", writes)):
            scale, offset = getattr(self, f"{name}_scale"), getattr(self, f"{name}_offset")
            fits = {len(scale), len(offset)} <= {1, boundary.channels}
            if (
                not fits
                or any(not 0 < value < LARGEST_SCALE for value in scale)
                or any(not abs(value) <= LARGEST_OFFSET for value in offset)
            ):
                raise CircuitError(
                    f"the circuit's {name} codec does not fit {boundary.channels} channels, or has a scale of {LARGEST_SCALE} "
                    f"or an offset above {LARGEST_OFFSET}; build the bundle again"
                )
        if self.input_bins is not None and (self.input_scale, self.input_offset) != ((1.0,), (0.0,)):
            raise CircuitError("the circuit's input codec scales the numbers of bins; build the bundle again")

    def encode(self, values: IntArray) -> IntArray:
        """Return what the circuit takes for (batch, *shape) boundary values."""
        if self.input_bins is not None:
            values = self.input_bins.index(values)
        return _affine(values, self.input_scale, self.input_offset)

    def decode(self, values: IntArray) -> IntArray:
        """Return the boundary values behind what the circuit gives, (batch, *shape)."""
        return _affine(values, self.output_scale, self.output_offset)

    def to_json(self) -> dict[str, Any]:
        """Return the codec as JSON values."""
        bins = None if self.input_bins is None else dataclasses.asdict(self.input_bins)
        return {**{name: list(getattr(self, name)) for name in _AFFINE}, "input_bins": bins}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Codec:
        """Read what `to_json` wrote; the caller has checked it against the schema."""
        bins = data["input_bins"]
        return Codec(**{name: tuple(data[name]) for name in _AFFINE}, input_bins=Bins(**bins) if bins else None)


_AFFINE = ("input_scale", "input_offset", "output_scale", "output_offset")


def _affine(values: IntArray, scale: tuple[float, ...], offset: tuple[float, ...]) -> IntArray:
    axes = [1] * (values.ndim - 2)
    scaled = values * np.asarray(scale).reshape(-1, *axes) + np.asarray(offset).reshape(-1, *axes)
    return np.rint(scaled).astype(np.int64)


@dataclass(frozen=True)
class CircuitSpec:
    """The public description of one compiled server segment.

    Attributes:
        segment: Which layers.
        backend: ``integer`` or ``concrete-ml``.
        reads: The boundary before it, without its grid.
        writes: The boundary behind it, without its grid.
        codec: Between those and the circuit's integers.
        p_error: Bound asked for, for one bootstrap.
        bootstraps: Programmable bootstraps for one input.
        table_bits: Width of the widest table input that the network needs; 0 for a linear segment.
        approximate: Whether a bootstrap rounds its input, and so may read the table entry beside it: answers then lie within
            `cryptml.networks.rounding.envelope` instead of being equal to those in the clear.
        complexity: The optimiser's estimate of the work, in its own unit.
        key_set: Names the key set that it takes (SHA-256, hexadecimal): of ``client_specs`` where it has one to itself, of the key
            parameters where it shares one with other circuits.
        client_specs: Concrete's description of encryption, decryption and keys, JSON in UTF-8.
    """

    segment: Segment
    backend: str
    reads: Boundary
    writes: Boundary
    codec: Codec
    p_error: float
    bootstraps: int
    table_bits: int
    approximate: bool
    complexity: float
    key_set: str
    client_specs: bytes

    @property
    def parameters(self) -> CircuitParameters:
        """The cryptographic parameters inside ``client_specs``."""
        return CircuitParameters.parse(self.client_specs)

    @property
    def failure_probability(self) -> float:
        """Bound on the probability that one whole evaluation holds a failed bootstrap: 1 - (1 - p_error)^bootstraps.

        Where the circuit rounds, reading a table entry beside it is no wrong bootstrap, and values beyond a table's bins are not counted.
        """
        return float(-np.expm1(self.bootstraps * np.log1p(-self.p_error)))

    def check_answer(self, values: IntArray) -> IntArray:
        """Return decoded values if they can come from this segment.

        Raises:
            RangeError: If they leave the boundary: the ciphertext was of other keys, altered, a bootstrap failed, or the input
                drove an accumulator out of the range that the network was calibrated for.
        """
        violation = self.writes.describe_violation(values)
        if violation:
            raise RangeError(
                f"the decrypted answer of segment {self.segment} has {violation}; it was made with other keys or altered, or the "
                "input lies far from what the network was calibrated for: look at the picture, and make fresh keys before you ask again"
            )
        return values

    def to_json(self) -> dict[str, Any]:
        """Return everything but ``client_specs``, which is a file of its own, as JSON values."""
        return {
            "start": self.segment.start,
            "stop": self.segment.stop,
            "backend": self.backend,
            "reads": self.reads.to_json(),
            "writes": self.writes.to_json(),
            "codec": self.codec.to_json(),
            "p_error": self.p_error,
            "security_bits": SECURITY_BITS,
            "bootstraps": self.bootstraps,
            "lookup_bits": self.table_bits,
            "approximate": self.approximate,
            "complexity": self.complexity,
            "key_set": self.key_set,
            "failure_probability": self.failure_probability,
            "evaluation_key_bytes": self.parameters.evaluation_key_bytes,
            "input_bytes": self.parameters.input_bytes,
            "output_bytes": self.parameters.output_bytes,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any], client_specs: bytes) -> CircuitSpec:
        """Read what `to_json` wrote; the caller has checked it against the schema.

        Raises:
            CircuitError: If ``client_specs`` cannot be read or contradicts the boundaries.
        """
        spec = CircuitSpec(
            segment=Segment(data["start"], data["stop"]),
            backend=data["backend"],
            reads=Boundary.from_json(data["reads"]),
            writes=Boundary.from_json(data["writes"]),
            codec=Codec.from_json(data["codec"]),
            p_error=data["p_error"],
            bootstraps=data["bootstraps"],
            table_bits=data["lookup_bits"],
            approximate=data["approximate"],
            complexity=data["complexity"],
            key_set=data["key_set"],
            client_specs=client_specs,
        )
        if spec.key_set not in (sha256(client_specs), spec.parameters.key_parameters):
            raise CircuitError(
                f"the circuit of segment {spec.segment} names a key set that is neither its own nor one of its parameters; "
                "build the bundle again"
            )
        spec.require_fit()
        return spec

    def require_fit(self) -> None:
        """Refuse a specification that does not fit the manifest.

        Raises:
            CircuitError: With what is said on both sides.
        """
        parameters = self.parameters
        self.codec.require_fit(self.reads, self.writes)
        found = (parameters.input_shape, parameters.output_shape)
        expected = ((1, *self.reads.shape), (1, *self.writes.shape))
        if found != expected:
            raise CircuitError(
                f"the circuit of segment {self.segment} takes and gives shapes {found}, the manifest says {expected}; "
                "build the bundle again"
            )
