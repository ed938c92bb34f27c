"""Read Concrete's client specification: sizes on the wire, and whether the parameters are as secure as they must be.

The service chooses the parameters under which the client encrypts. A client that took any would let a hostile service hand
out parameters without noise and read the picture, so the client checks them against the 128-bit curve itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptml.errors import CircuitError
from cryptml.files import describe_violations, sha256

SLOPE, BIAS = -0.025696778711484593, 2.675931372549016
"""log2 of the least noise (standard deviation over the torus) for a binary secret of n bits is ``SLOPE * n + BIAS`` at 128-bit
security: the curve of Concrete's own optimiser (concrete-security-curves, fitted with the lattice estimator)."""

MIN_DIMENSION = 450
"""The same source's least LWE dimension for which the curve holds."""

FLOOR = -62.0
"""log2 of the least noise that 64-bit integers carry, from the same source: two bits above the resolution of the torus."""

TOLERANCE = 0.01
"""Rounding of the printed variances, in log2."""

OVERHEAD_BYTES = 65_536
"""A serialised message is at most this much longer than its payload (640 bytes were seen)."""

SCHEMA = "client-specification.schema.json"
"""All that this version understands, and nothing beside it: native code takes the last of several kinds of a value, and skips
what it does not know, so a field too much could say something else than what is checked here."""

SEED_WORDS = 3
"""Of a seeded ciphertext: 128 bits of seed, 64 of message."""

KEY_PARAMETERS = b"CRYPTML key parameters: "
"""Stands before key parameters when they are digested, so that no client specification, which is JSON, has the same digest."""

MAX_SPECS_BYTES = 4 << 20
MAX_DIMENSION = 1 << 20


@dataclass(frozen=True)
class CircuitParameters:
    """What a circuit's client specification says.

    Attributes:
        input_shape: With the batch axis.
        output_shape: With the batch axis.
        evaluation_key_bytes: Payload of the compressed evaluation keys; the message is at most `OVERHEAD_BYTES` longer.
        input_bytes: Payload of one encrypted input.
        output_bytes: Payload of one encrypted output.
        noises: (dimension, log2 of the standard deviation) of each secret and noise, for `require_security`.
        expanded_key_bytes: Evaluation keys once every seed is expanded: what an evaluator's memory must hold at least.
        key_parameters: SHA-256 (hexadecimal) of all key parameters: circuits with the same can share a key set, and cost the same a
            lookup.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    evaluation_key_bytes: int
    input_bytes: int
    output_bytes: int
    noises: tuple[tuple[int, float], ...]
    expanded_key_bytes: int
    key_parameters: str

    @staticmethod
    def parse(client_specs: bytes) -> CircuitParameters:
        """Read a specification.

        Raises:
            CircuitError: If it is not one, or of a kind that this version does not use.
        """
        if len(client_specs) > MAX_SPECS_BYTES:
            raise CircuitError(
                f"a client specification of {len(client_specs)} bytes exceeds {MAX_SPECS_BYTES}; fetch it again"
            )
        return _parse(client_specs)

    def require_security(self) -> None:
        """Refuse parameters below 128 bits.

        Raises:
            CircuitError: With the dimension, its noise and the least noise for it.
        """
        for dimension, noise in self.noises:
            least = max(SLOPE * dimension + BIAS, FLOOR)
            if dimension < MIN_DIMENSION or noise < least - TOLERANCE:
                raise CircuitError(
                    f"the service offers encryption with dimension {dimension} and noise 2^{noise:.2f}, below 128-bit "
                    f"security (at least {MIN_DIMENSION} and 2^{least:.2f}); do not send anything to it"
                )


@lru_cache(maxsize=256)
def _parse(client_specs: bytes) -> CircuitParameters:
    """Read a specification; circuits are asked for their parameters again and again."""
    try:
        data = json.loads(client_specs)
        violations = describe_violations(data, SCHEMA)
        if violations:
            raise ValueError(violations[0])
        return _read(data)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise CircuitError(f"the client specification cannot be read ({error!r}); build the bundle again") from error


def _read(data: Mapping[str, Any]) -> CircuitParameters:
    keyset = data["keyset"]
    _require_places(keyset)
    for gate in (*data["circuits"][0]["inputs"], *data["circuits"][0]["outputs"]):
        _require_shapes(gate)
    dimensions = {key["id"]: key["params"]["lweDimension"] for key in keyset["lweSecretKeys"]}
    if min(dimensions.values()) < 1 or max(dimensions.values()) > MAX_DIMENSION:
        raise ValueError(f"key dimensions {sorted(dimensions.values())}")
    for key in keyset["lweSecretKeys"]:
        if key["params"]["keyType"] != "binary" or key["params"]["integerPrecision"] != 64:
            raise ValueError(f"secret key {key['params']}")
    noises: list[tuple[int, float]] = []
    words = expanded = 0
    for key in keyset["lweBootstrapKeys"]:
        params = key["params"]
        _require_dimension(dimensions, key["inputId"], params["inputLweDimension"])
        _require_dimension(dimensions, key["outputId"], params["glweDimension"] * params["polynomialSize"])
        noises.append((params["glweDimension"] * params["polynomialSize"], _log2_deviation(params["variance"])))
        masks = 0 if key["compression"] == "seed" else params["glweDimension"]
        rows = params["inputLweDimension"] * params["levelCount"] * (params["glweDimension"] + 1)
        words += rows * (masks + 1) * params["polynomialSize"]
        expanded += rows * (params["glweDimension"] + 1) * params["polynomialSize"]
    for key in keyset["lweKeyswitchKeys"]:
        params = key["params"]
        _require_dimension(dimensions, key["inputId"], params["inputLweDimension"])
        _require_dimension(dimensions, key["outputId"], params["outputLweDimension"])
        noises.append((params["outputLweDimension"], _log2_deviation(params["variance"])))
        masks = 0 if key["compression"] == "seed" else params["outputLweDimension"]
        words += params["inputLweDimension"] * params["levelCount"] * (masks + 1)
        expanded += params["inputLweDimension"] * params["levelCount"] * (params["outputLweDimension"] + 1)
    if keyset["packingKeyswitchKeys"]:
        raise ValueError("packing keys")
    (circuit,) = data["circuits"]
    (entering,), (leaving,) = circuit["inputs"], circuit["outputs"]
    cipher = entering["typeInfo"]["lweCiphertext"]["encryption"]
    _require_dimension(dimensions, cipher["keyId"], cipher["lweDimension"])
    noises.append((cipher["lweDimension"], _log2_deviation(cipher["variance"])))
    answer = leaving["typeInfo"]["lweCiphertext"]["encryption"]
    _require_dimension(dimensions, answer["keyId"], answer["lweDimension"])
    return CircuitParameters(
        input_shape=_abstract_shape(entering),
        output_shape=_abstract_shape(leaving),
        evaluation_key_bytes=8 * words,
        input_bytes=8 * math.prod(entering["rawInfo"]["shape"]["dimensions"]),
        output_bytes=8 * math.prod(leaving["rawInfo"]["shape"]["dimensions"]),
        noises=tuple(noises),
        expanded_key_bytes=8 * expanded,
        key_parameters=sha256(KEY_PARAMETERS + json.dumps(keyset, sort_keys=True).encode()),
    )


def _require_places(keyset: Mapping[str, Any]) -> None:
    """Refuse what native code would read otherwise: it finds keys by their place, not by their id."""
    for kind, keys in keyset.items():
        ids = [key["id"] for key in keys]
        if ids != list(range(len(ids))):
            raise ValueError(f"{kind} numbered {ids}")


def _require_shapes(gate: Mapping[str, Any]) -> None:
    """Refuse a gate whose sizes are not those of its ciphertexts: one message a value, seeded or whole."""
    cipher = gate["typeInfo"]["lweCiphertext"]
    words = SEED_WORDS if cipher["compression"] == "seed" else cipher["encryption"]["lweDimension"] + 1
    expected = [*cipher["abstractShape"]["dimensions"], words]
    found = [cipher["concreteShape"]["dimensions"], gate["rawInfo"]["shape"]["dimensions"]]
    if found != [expected, expected]:
        raise ValueError(f"shapes {found} of ciphertexts, expected {expected}")


def _require_dimension(dimensions: Mapping[int, int], key: int, dimension: int) -> None:
    """Native code trusts these to agree, and aborts the process where they do not."""
    if dimensions[key] != dimension:
        raise ValueError(f"dimension {dimension} for key {key} of {dimensions[key]}")


def _abstract_shape(gate: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(gate["typeInfo"]["lweCiphertext"]["abstractShape"]["dimensions"])


def _log2_deviation(variance: float) -> float:
    return 0.5 * math.log2(variance) if variance > 0 else -math.inf
