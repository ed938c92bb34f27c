"""Read Concrete's client specification: sizes on the wire, and whether it is one that an honest build can make.

The service chooses the parameters under which the client makes keys and encrypts. A client that took any would let a hostile service
switch the noise off and read the picture. So each number is computed by the client itself, compared with what it may be from
both sides, or refused; and native code gets a document that is written anew from what was checked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptml.errors import CircuitError
from cryptml.fhe.bounds import MAX_SPECS_BYTES, WORD_BYTES
from cryptml.fhe.parameter_checks import abstract_shape, cipher_of, describe_problems, key_words
from cryptml.files import describe_violations, read_json, sha256

OVERHEAD_BYTES = 65_536
"""A serialised message is at most this much longer than its payload (640 bytes were seen)."""

SCHEMA = "client-specification.schema.json"
"""All that this version understands, and nothing beside it: native code takes the last of several kinds of a value, and skips
what it does not know, so a field too much could say something else than what is checked here."""

KEY_PARAMETERS = b"CRYPTML key parameters: "
"""Stands before key parameters when they are digested, so that no client specification, which is JSON, has the same digest."""

MOST_PROBLEMS = 5


@dataclass(frozen=True)
class Encoding:
    """How integers stand in a ciphertext: in the highest bits, below one bit of padding.

    Attributes:
        width: Bits of an integer.
        signed: Whether in two's complement.
    """

    width: int
    signed: bool

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest integer."""
        half = 1 << (self.width - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)


@dataclass(frozen=True)
class CircuitParameters:
    """What a circuit's client specification says; made by `parse` alone, which has checked it.

    Attributes:
        input_shape: With the batch axis.
        output_shape: With the batch axis.
        input_encoding: Of what the client encrypts.
        output_encoding: Of what it decrypts.
        evaluation_key_bytes: Payload of the compressed evaluation keys; the message is at most `OVERHEAD_BYTES` longer.
        input_bytes: Payload of one encrypted input.
        output_bytes: Payload of one encrypted output.
        dimensions: Of the secret keys, in their order.
        expanded_key_bytes: Evaluation keys once every seed is expanded: what an evaluator's memory must hold at least.
        key_parameters: SHA-256 (hexadecimal) of all key parameters: circuits with the same can share a key set, and cost the same a
            programmable bootstrap.
        native: The specification as native code gets it: JSON, written anew from what was checked.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    input_encoding: Encoding
    output_encoding: Encoding
    evaluation_key_bytes: int
    input_bytes: int
    output_bytes: int
    dimensions: tuple[int, ...]
    expanded_key_bytes: int
    key_parameters: str
    native: bytes

    @staticmethod
    def parse(client_specs: bytes) -> CircuitParameters:
        """Read and check a specification.

        Raises:
            CircuitError: If it is not one, of a kind that this version does not use, or one that no honest build makes, with the
                first `MOST_PROBLEMS` reasons.
        """
        return _parse(client_specs)


class InsecureParameters(CircuitError):
    """A specification under which nothing may be encrypted."""


@lru_cache(maxsize=256)
def _parse(client_specs: bytes) -> CircuitParameters:
    """Read a specification; circuits are asked for their parameters again and again."""
    data = read_json(client_specs, "the client specification", CircuitError, limit=MAX_SPECS_BYTES)
    violations = describe_violations(data, SCHEMA)
    if violations:
        raise CircuitError(f"the client specification breaks its schema: {violations[0]}; build the bundle again")
    problems = list(describe_problems(data))
    if problems:
        more = f", and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
        raise InsecureParameters(
            f"the client specification asks for what no honest build does: {'; '.join(problems[:MOST_PROBLEMS])}{more}; "
            "do not send anything to this service"
        )
    return _read(data)


def _read(data: Mapping[str, Any]) -> CircuitParameters:
    """Return what a checked specification says."""
    keyset, circuit = data["keyset"], data["circuits"][0]
    entering, leaving = circuit["inputs"][0], circuit["outputs"][0]
    return CircuitParameters(
        input_shape=abstract_shape(entering),
        output_shape=abstract_shape(leaving),
        input_encoding=_encoding(entering),
        output_encoding=_encoding(leaving),
        evaluation_key_bytes=WORD_BYTES * sum(key_words(keyset, expanded=False)),
        input_bytes=WORD_BYTES * math.prod(entering["rawInfo"]["shape"]["dimensions"]),
        output_bytes=WORD_BYTES * math.prod(leaving["rawInfo"]["shape"]["dimensions"]),
        dimensions=tuple(key["params"]["lweDimension"] for key in keyset["lweSecretKeys"]),
        expanded_key_bytes=WORD_BYTES * sum(key_words(keyset, expanded=True)),
        key_parameters=sha256(KEY_PARAMETERS + json.dumps(keyset, sort_keys=True).encode()),
        native=json.dumps(data).encode(),
    )


def _encoding(gate: Mapping[str, Any]) -> Encoding:
    integer = cipher_of(gate)["encoding"]["integer"]
    return Encoding(integer["width"], integer["isSigned"])
