"""Read Concrete's client specification: sizes on the wire, and whether it is one that an honest build can make.

The service chooses the parameters under which the client makes keys and encrypts. A client that took any would let a hostile service
switch the noise off and read the picture. So each number is computed by the client itself, compared with what it may be from
both sides, or refused; and native code gets a document that is written anew from what was checked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptml.errors import CircuitError
from cryptml.fhe.security import (
    LEAST_DIMENSION,
    MOST_DECOMPOSED_BITS,
    MOST_GLWE_DIMENSION,
    MOST_SMALL_DIMENSION,
    POLYNOMIAL_SIZES,
    describe_noise,
    log2_deviation,
)
from cryptml.files import describe_violations, read_json, sha256

OVERHEAD_BYTES = 65_536
"""A serialised message is at most this much longer than its payload (640 bytes were seen)."""

SCHEMA = "client-specification.schema.json"
"""All that this version understands, and nothing beside it: native code takes the last of several kinds of a value, and skips
what it does not know, so a field too much could say something else than what is checked here."""

SEED_WORDS = 3
"""Of a seeded ciphertext: 128 bits of seed, 64 of message."""

WORD_BYTES = 8

KEY_PARAMETERS = b"CRYPTML key parameters: "
"""Stands before key parameters when they are digested, so that no client specification, which is JSON, has the same digest."""

MAX_SPECS_BYTES = 4 << 20
MAX_KEY_BYTES = 2 << 30
"""Of evaluation keys as they are sent: what a client makes and keeps."""

MAX_EXPANDED_KEY_BYTES = 16 << 30
"""Of evaluation keys with every seed expanded: what a client computes to make them, some twenty times as much as the shipped networks'."""

MAX_CIPHERTEXT_BYTES = 1 << 30
"""Of one encrypted input or output."""

MOST_MESSAGES = 1 << 18
"""Of one encrypted input or output: a client encrypts some ten a millisecond."""

MARGIN = 4.0
"""Standard deviations of fresh noise between a message and its neighbour, at least; honest builds keep over 7 of all noise together
(a p_error of 2^-40)."""

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
    problems = list(_describe_problems(data))
    if problems:
        more = f", and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
        raise InsecureParameters(
            f"the client specification asks for what no honest build does: {'; '.join(problems[:MOST_PROBLEMS])}{more}; "
            "do not send anything to this service"
        )
    return _read(data)


def _describe_problems(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield every reason why a specification that keeps the schema is not one that Concrete's optimiser gives."""
    keyset, circuit = data["keyset"], data["circuits"][0]
    misplaced = list(_describe_places(keyset))
    yield from misplaced
    if misplaced:
        return  # nothing else can be looked up
    dimensions = [key["params"]["lweDimension"] for key in keyset["lweSecretKeys"]]
    for index, key in enumerate(keyset["lweBootstrapKeys"]):
        yield from _describe_bootstrap_key(f"bootstrap key {index}", key, dimensions)
    for index, key in enumerate(keyset["lweKeyswitchKeys"]):
        yield from _describe_keyswitch_key(f"keyswitch key {index}", key, dimensions)
    for kind in ("input", "output"):
        yield from _describe_gate(kind, circuit[f"{kind}s"][0], dimensions)
    yield from _describe_ways(keyset, _cipher(circuit["inputs"][0])["encryption"]["keyId"])
    used = {each[end] for kind in ("lweBootstrapKeys", "lweKeyswitchKeys") for each in keyset[kind] for end in ENDS}
    used |= {_cipher(circuit[gates][0])["encryption"]["keyId"] for gates in ("inputs", "outputs")}
    for index in sorted(set(range(len(dimensions))) - used):
        yield f"a secret key {index} that nothing uses"
    for what, expanded, most in (("", False, MAX_KEY_BYTES), (" once expanded", True, MAX_EXPANDED_KEY_BYTES)):
        size = sum(_key_words(keyset, expanded=expanded)) * WORD_BYTES
        if size > most:
            yield f"evaluation keys of {size} bytes{what} (at most {most})"
    name, named = circuit["name"], data["tfhers_specs"]
    if any(value != {name: [None]} for value in named.values()):
        yield "foreign types, or those of another circuit"


ENDS = ("inputId", "outputId")


def _describe_places(keyset: Mapping[str, Any]) -> Iterator[str]:
    """Yield where native code would read otherwise: it finds keys by their place, not by their id."""
    for kind, keys in keyset.items():
        ids = [key["id"] for key in keys]
        if ids != list(range(len(ids))):
            yield f"{kind} numbered {ids[:10]}"
    count = len(keyset["lweSecretKeys"])
    for kind in ("lweBootstrapKeys", "lweKeyswitchKeys"):
        for index, key in enumerate(keyset[kind]):
            ends = [key[end] for end in ENDS]
            if max(ends) >= count or ends[0] == ends[1]:
                yield f"{kind} {index} from secret key {ends[0]} to {ends[1]} of {count}"


def _describe_ways(keyset: Mapping[str, Any], entering: int) -> Iterator[str]:
    """Yield keys that lead nowhere, or from where nothing comes: values come in under one secret, and else from bootstrap keys alone."""
    bootstraps = keyset["lweBootstrapKeys"]
    reached = {key["outputId"] for key in keyset["lweKeyswitchKeys"]}
    for index, key in enumerate(bootstraps):
        if key["inputId"] not in reached:
            yield f"bootstrap key {index}, to which no keyswitch key leads"
    ends = {key[end] for key in bootstraps for end in ENDS}
    given = {key["outputId"] for key in bootstraps} | {entering}
    for index, key in enumerate(keyset["lweKeyswitchKeys"]):
        if key["outputId"] not in ends:
            yield f"keyswitch key {index}, which leads to no bootstrap key"
        if key["inputId"] not in given:
            yield f"keyswitch key {index}, from a secret under which nothing comes"


def _describe_bootstrap_key(what: str, key: Mapping[str, Any], dimensions: list[int]) -> Iterator[str]:
    params = key["params"]
    size, glwe = params["polynomialSize"], params["glweDimension"]
    if size not in POLYNOMIAL_SIZES:
        yield f"{what} of polynomial size {size} (a power of two from {POLYNOMIAL_SIZES[0]} to {POLYNOMIAL_SIZES[-1]})"
    if glwe > MOST_GLWE_DIMENSION:
        yield f"{what} of GLWE dimension {glwe} (at most {MOST_GLWE_DIMENSION})"
    small = params["inputLweDimension"]
    if not LEAST_DIMENSION <= small <= MOST_SMALL_DIMENSION:
        yield f"{what} that reads dimension {small} (from {LEAST_DIMENSION} to {MOST_SMALL_DIMENSION} are taken)"
    yield from _describe_key(what, key, dimensions, small, glwe * size)


def _describe_keyswitch_key(what: str, key: Mapping[str, Any], dimensions: list[int]) -> Iterator[str]:
    params = key["params"]
    yield from _describe_key(what, key, dimensions, params["inputLweDimension"], params["outputLweDimension"])


def _describe_key(what: str, key: Mapping[str, Any], dimensions: list[int], reads: int, gives: int) -> Iterator[str]:
    """Yield what is wrong with a key that encrypts one secret, decomposed, under another."""
    for end, dimension in zip(ENDS, (reads, gives), strict=True):
        if dimensions[key[end]] != dimension:  # native code trusts these to agree, and aborts where they do not
            yield f"{what} with dimension {dimension} for secret key {key[end]} of {dimensions[key[end]]}"
    params = key["params"]
    levels, base = params["levelCount"], params["baseLog"]
    if levels * base > MOST_DECOMPOSED_BITS:
        yield f"{what} of {levels} levels of {base} bits (at most {MOST_DECOMPOSED_BITS} bits together)"
    noise = describe_noise(gives, params["variance"])
    if noise:
        yield f"{what}: {noise}"


def _describe_gate(what: str, gate: Mapping[str, Any], dimensions: list[int]) -> Iterator[str]:
    cipher = _cipher(gate)
    encryption, width = cipher["encryption"], cipher["encoding"]["integer"]["width"]
    dimension, key = encryption["lweDimension"], encryption["keyId"]
    if key >= len(dimensions) or dimensions[key] != dimension:
        yield f"an {what} of dimension {dimension} under secret key {key} (they have {dimensions[:10]})"
    noise = describe_noise(dimension, encryption["variance"])
    if noise:
        yield f"an {what}: {noise}"
    # Messages lie 2^-(width + 1) apart; half of that must hold the noise.
    elif -(width + 2) < log2_deviation(dimension) + math.log2(MARGIN):
        yield f"an {what} of {width} bits, too close together for the noise of dimension {dimension}"
    # One message a value, seeded or whole.
    words = SEED_WORDS if cipher["compression"] == "seed" else dimension + 1
    expected = [*cipher["abstractShape"]["dimensions"], words]
    found = [cipher["concreteShape"]["dimensions"], gate["rawInfo"]["shape"]["dimensions"]]
    if found != [expected, expected]:
        yield f"an {what} whose ciphertexts have shapes {found} (expected {expected})"
    if gate["rawInfo"]["isSigned"]:
        yield f"an {what} of signed words (a torus has none)"
    if what == "output" and cipher["compression"] != "none":
        yield "an output that is seeded (only its owner could make it)"
    messages = math.prod(cipher["abstractShape"]["dimensions"])
    if messages > MOST_MESSAGES:
        yield f"an {what} of {messages} values (at most {MOST_MESSAGES})"
    size = WORD_BYTES * math.prod(expected)
    if size > MAX_CIPHERTEXT_BYTES:
        yield f"an {what} of {size} bytes (at most {MAX_CIPHERTEXT_BYTES})"


def _cipher(gate: Mapping[str, Any]) -> dict[str, Any]:
    return dict(gate["typeInfo"]["lweCiphertext"])


def _key_words(keyset: Mapping[str, Any], *, expanded: bool) -> Iterator[int]:
    """Yield the words of 64 bits of each evaluation key, as it is sent or once every seed is expanded."""
    for key in keyset["lweBootstrapKeys"]:
        params = key["params"]
        masks = 0 if key["compression"] == "seed" and not expanded else params["glweDimension"]
        rows = params["inputLweDimension"] * params["levelCount"] * (params["glweDimension"] + 1)
        yield rows * (masks + 1) * params["polynomialSize"]
    for key in keyset["lweKeyswitchKeys"]:
        params = key["params"]
        masks = 0 if key["compression"] == "seed" and not expanded else params["outputLweDimension"]
        yield params["inputLweDimension"] * params["levelCount"] * (masks + 1)


def _read(data: Mapping[str, Any]) -> CircuitParameters:
    """Return what a checked specification says."""
    keyset, circuit = data["keyset"], data["circuits"][0]
    entering, leaving = circuit["inputs"][0], circuit["outputs"][0]
    return CircuitParameters(
        input_shape=_abstract_shape(entering),
        output_shape=_abstract_shape(leaving),
        input_encoding=_encoding(entering),
        output_encoding=_encoding(leaving),
        evaluation_key_bytes=WORD_BYTES * sum(_key_words(keyset, expanded=False)),
        input_bytes=WORD_BYTES * math.prod(entering["rawInfo"]["shape"]["dimensions"]),
        output_bytes=WORD_BYTES * math.prod(leaving["rawInfo"]["shape"]["dimensions"]),
        dimensions=tuple(key["params"]["lweDimension"] for key in keyset["lweSecretKeys"]),
        expanded_key_bytes=WORD_BYTES * sum(_key_words(keyset, expanded=True)),
        key_parameters=sha256(KEY_PARAMETERS + json.dumps(keyset, sort_keys=True).encode()),
        native=json.dumps(data).encode(),
    )


def _abstract_shape(gate: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(_cipher(gate)["abstractShape"]["dimensions"])


def _encoding(gate: Mapping[str, Any]) -> Encoding:
    integer = _cipher(gate)["encoding"]["integer"]
    return Encoding(integer["width"], integer["isSigned"])
