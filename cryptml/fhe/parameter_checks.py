"""Every number of a client specification against `cryptml.fhe.security`, with all problems at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from cryptml.fhe.bounds import (
    MARGIN,
    MAX_CIPHERTEXT_BYTES,
    MAX_EXPANDED_KEY_BYTES,
    MAX_KEY_BYTES,
    MOST_MESSAGES,
    SEED_WORDS,
    WORD_BYTES,
)
from cryptml.fhe.security import (
    LEAST_DIMENSION,
    MOST_DECOMPOSED_BITS,
    MOST_GLWE_DIMENSION,
    MOST_SMALL_DIMENSION,
    POLYNOMIAL_SIZES,
    describe_noise,
    log2_deviation,
)


def describe_problems(data: Mapping[str, Any]) -> Iterator[str]:
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
    yield from _describe_ways(keyset, cipher_of(circuit["inputs"][0])["encryption"]["keyId"])
    used = {each[end] for kind in ("lweBootstrapKeys", "lweKeyswitchKeys") for each in keyset[kind] for end in ENDS}
    used |= {cipher_of(circuit[gates][0])["encryption"]["keyId"] for gates in ("inputs", "outputs")}
    for index in sorted(set(range(len(dimensions))) - used):
        yield f"a secret key {index} that nothing uses"
    for what, expanded, most in (("", False, MAX_KEY_BYTES), (" once expanded", True, MAX_EXPANDED_KEY_BYTES)):
        size = sum(key_words(keyset, expanded=expanded)) * WORD_BYTES
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
    cipher = cipher_of(gate)
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


def cipher_of(gate: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of what is encrypted at a circuit's input or output."""
    return dict(gate["typeInfo"]["lweCiphertext"])


def key_words(keyset: Mapping[str, Any], *, expanded: bool) -> Iterator[int]:
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


def abstract_shape(gate: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the shape of the integers at a circuit's input or output."""
    return tuple(cipher_of(gate)["abstractShape"]["dimensions"])
