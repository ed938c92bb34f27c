"""The noise that a client's own native code adds, read off its own keys and ciphertexts.

Whoever holds the secret key can take every mask away, and what is left of a ciphertext is its message and its noise. Masks are seen where
nothing is seeded, so specifications are measured with their compression switched off; native code draws the same noise either way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from concrete import fhe
from numpy.typing import NDArray

from cryptml.fhe.security import log2_deviation

Words = NDArray[np.uint64]

SAMPLES = 6000
"""At least; the deviation of so many is known to 1 %."""

HEAD_WORDS = 64
"""In which a payload begins, or behind which nothing follows: capnproto's descriptions of keys are shorter."""

TORUS_BITS = 64


@dataclass(frozen=True)
class Noise:
    """What was measured of one key or ciphertext.

    Attributes:
        what: For example ``"keyswitch key 0"``.
        dimension: Of the secret that it is under.
        samples: How many were read.
        log2_deviation: Over the torus.
        odd_share: Of samples whose lowest bit is set.
    """

    what: str
    dimension: int
    samples: int
    log2_deviation: float
    odd_share: float

    @property
    def is_right(self) -> bool:
        """Whether it is what 128-bit security needs, to within what the samples can tell, with a lowest bit that says nothing."""
        return abs(self.log2_deviation - log2_deviation(self.dimension)) < 0.1 and self.odd_share > 0.44


def uncompressed(document: dict[str, Any], values: int) -> dict[str, Any]:
    """Return a specification like this one whose masks can be seen, for a flat input of so many values."""
    again = json.loads(json.dumps(document))
    for kind in ("lweBootstrapKeys", "lweKeyswitchKeys"):
        for key in again["keyset"][kind]:
            key["compression"] = "none"
    gate = again["circuits"][0]["inputs"][0]
    cipher = gate["typeInfo"]["lweCiphertext"]
    cipher["compression"] = "none"
    cipher["abstractShape"]["dimensions"] = [1, values]
    for shape in (cipher["concreteShape"], gate["rawInfo"]["shape"]):
        shape["dimensions"] = [1, values, cipher["encryption"]["lweDimension"] + 1]
    return again


def measure_input(document: dict[str, Any]) -> Noise:
    """Return the noise of an input's ciphertexts under a fresh key; the specification is given to native code whatever it says."""
    client, opened, secrets = _generate(document, ())
    cipher = opened["circuits"][0]["inputs"][0]["typeInfo"]["lweCiphertext"]["encryption"]
    secret = secrets[cipher["keyId"]]
    words = _words(client.encrypt(np.zeros((1, SAMPLES), np.int64)).serialize())
    rows = _payload(words, (SAMPLES, len(secret) + 1), lambda some: _deviation(_phases(some[:8], secret)))
    return _noise("encrypted input", len(secret), _phases(rows, secret))


def measure_key(document: dict[str, Any], kind: str, index: int) -> Noise:
    """Return the noise of one evaluation key under fresh secret keys; it is made alone.

    Args:
        document: A client specification; it is given to native code whatever it says.
        kind: ``lweBootstrapKeys`` or ``lweKeyswitchKeys``.
        index: Of the key.
    """
    client, opened, secrets = _generate(document, (kind, index))
    (key,) = opened["keyset"][kind]
    words = _words(client.keys.evaluation.serialize())
    found = _bootstrap_noise if kind == "lweBootstrapKeys" else _keyswitch_noise
    return found(f"{kind} {index}", key, words, secrets)


def measure(document: dict[str, Any]) -> list[Noise]:
    """Return the noise of an input's ciphertexts and of every evaluation key."""
    kinds = ("lweBootstrapKeys", "lweKeyswitchKeys")
    keys = [(kind, index) for kind in kinds for index in range(len(document["keyset"][kind]))]
    return [measure_input(document), *(measure_key(document, *each) for each in keys)]


def _generate(document: dict[str, Any], kept: tuple[Any, ...]) -> tuple[fhe.Client, dict[str, Any], list[Words]]:
    """Make keys, of the evaluation keys the one that is named alone; return the client, its specification and the secret keys."""
    opened = uncompressed(document, SAMPLES)
    for kind in ("lweBootstrapKeys", "lweKeyswitchKeys"):
        keys = [opened["keyset"][kind][kept[1]]] if kept and kept[0] == kind else []
        opened["keyset"][kind] = [{**key, "id": place} for place, key in enumerate(keys)]
    client = fhe.Client(fhe.ClientSpecs.deserialize(json.dumps(opened).encode()))
    client.keygen(force=True)
    return client, opened, secret_keys(client.keys, opened)


def secret_keys(keys: fhe.Keys, document: dict[str, Any]) -> list[Words]:
    """Return the bits of each secret key of a key set, in the specification's order."""
    words = _words(keys.serialize())
    bits = np.concatenate([[0], (words <= 1).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(bits)).reshape(-1, 2)
    runs = [(start, stop - start) for start, stop in edges if stop - start >= 256]
    found = []
    for key in document["keyset"]["lweSecretKeys"]:
        dimension = key["params"]["lweDimension"]
        start, _ = runs.pop(next(i for i, (_, length) in enumerate(runs) if dimension <= length <= dimension + 2))
        found.append(words[start : start + dimension])
    return found


def _bootstrap_noise(what: str, key: dict[str, Any], words: Words, secrets: list[Words]) -> Noise:
    """Read the last row of the first levels of some bits: a constant message, so that all other coefficients are noise."""
    params = key["params"]
    size, glwe, levels = params["polynomialSize"], params["glweDimension"], params["levelCount"]
    secret = secrets[key["outputId"]].reshape(glwe, size)
    bits = params["inputLweDimension"]

    def residues(keys: Words, count: int) -> NDArray[np.int64]:
        bodies = [keys[bit, 0, glwe, glwe] - _masked(keys[bit, 0, glwe, :glwe], secret) for bit in range(count)]
        return np.concatenate([body[1:] for body in bodies]).astype(np.int64)

    shape = (bits, levels, glwe + 1, glwe + 1, size)
    keys = _payload(words, shape, lambda some: _deviation(residues(some, 1)))
    return _noise(what, glwe * size, residues(keys, min(bits, -(-SAMPLES // (size - 1)))))


def _keyswitch_noise(what: str, key: dict[str, Any], words: Words, secrets: list[Words]) -> Noise:
    params = key["params"]
    reads, gives = secrets[key["inputId"]], secrets[key["outputId"]]
    levels, base = params["levelCount"], params["baseLog"]
    steps = np.array([1 << (TORUS_BITS - base * (level + 1)) for level in range(levels)], np.uint64)

    def residues(keys: Words) -> NDArray[np.int64]:
        """Levels stand in either order, and messages with either sign: that of the least noise is the right one."""
        bits = reads[: len(keys), None]
        phases = np.stack([_phases(keys[:, level], gives) for level in range(levels)], 1)
        signs = (np.uint64(1), np.uint64((1 << TORUS_BITS) - 1))
        messages = [(bits * order * sign).astype(np.int64) for order in (steps, steps[::-1]) for sign in signs]
        tries = [phases - message for message in messages]
        return min(tries, key=_deviation).ravel()

    shape = (len(reads), levels, len(gives) + 1)
    keys = _payload(words, shape, lambda some: _deviation(residues(some[:8])))
    return _noise(what, len(gives), residues(keys[: -(-SAMPLES // levels)]))


def _payload(words: Words, shape: tuple[int, ...], badness: Callable[[Words], float]) -> Words:
    """Find where an array begins in a message: where its noise is least."""
    size = int(np.prod(shape))
    starts = range(min(HEAD_WORDS, len(words) - size) + 1)
    return min((words[start : start + size].reshape(shape) for start in starts), key=badness)


def _masked(masks: Words, secret: Words) -> Words:
    """Return the sum of products of polynomials modulo X^N + 1 and 2^64, the second of each with bits for coefficients."""
    total = np.zeros(masks.shape[-1], np.uint64)
    for mask, bits in zip(masks, secret, strict=True):
        turned = np.concatenate([-mask, mask])
        size = len(mask)
        for power in np.flatnonzero(bits):
            total += turned[size - power : 2 * size - power]
    return total


def _phases(rows: Words, secret: Words) -> NDArray[np.int64]:
    """Return what is left of (count, n + 1) ciphertexts without their masks."""
    chosen = rows[:, :-1][:, secret.astype(bool)]
    return (rows[:, -1] - chosen.sum(axis=1, dtype=np.uint64)).astype(np.int64)


def _deviation(values: NDArray[np.int64]) -> float:
    return float(np.sqrt(np.mean(np.square(values.astype(np.float64)))))


def _noise(what: str, dimension: int, samples: NDArray[np.int64]) -> Noise:
    deviation = _deviation(samples)
    log2 = float(np.log2(deviation)) - TORUS_BITS if deviation else -np.inf
    return Noise(what, dimension, len(samples), log2, float(np.mean(samples & 1)))


def _words(message: bytes) -> Words:
    whole = bytes(message)
    return np.frombuffer(whole[: len(whole) // 8 * 8], dtype="<u8")
