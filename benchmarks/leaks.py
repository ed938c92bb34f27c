"""What a picture, an activation or a secret key would look like among bytes that somebody else has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from cryptml_client import KeyStore

from cryptml.networks import FloatArray, IntArray

LEAST_VALUES, LEAST_CHANGES = 48, 16
"""Of a stretch that is looked for: chance does not produce it, a leak would hold it."""

LEAST_SECRET_BITS = 450
"""No secret key has fewer."""


def images_of(values: FloatArray | IntArray) -> Iterator[bytes]:
    """Yield the byte images that an array could leak in: every usual type, both byte orders, from its liveliest stretch.

    A stretch without changes (padding, background) is no evidence of anything; one with many is, however few its values.
    """
    flat = values.ravel()
    length = min(len(flat), 256)
    starts = range(0, len(flat) - length + 1, 32)
    changes = [int(np.count_nonzero(np.diff(flat[start : start + length]))) for start in starts]
    if length < LEAST_VALUES or max(changes) < LEAST_CHANGES:
        return
    start = starts[int(np.argmax(changes))]
    kinds = ("f4", "f8", "f2") if flat.dtype.kind == "f" else ("i1", "i2", "i4", "i8", "f4", "f8")
    for kind in kinds:
        for order in "<>":
            yield flat[start : start + length].astype(f"{order}{kind}").tobytes()


def secret_key_images(store: KeyStore) -> list[bytes]:
    """Find the secret keys in a client's own files: long runs of 64-bit words that are 0 or 1, in three notations."""
    return [image for stored in store.list() for image in _secrets_in(stored.path.read_bytes())]


def _secrets_in(file: bytes) -> Iterator[bytes]:
    payload = file.split(b"\n", 2)[2][: 1 << 22]
    words = np.frombuffer(payload, dtype="<u8", count=min(1 << 18, len(payload) // 8))
    binary = np.concatenate([[False], words <= 1, [False]])
    edges = np.flatnonzero(np.diff(binary.astype(np.int8)))
    runs = [
        words[start:stop]
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
        if stop - start >= LEAST_SECRET_BITS
    ]
    for run in runs:
        middle = run[len(run) // 3 :][:400]
        if 0.3 < middle.mean() < 0.7:  # a secret is random bits; zeros are not one
            yield middle.tobytes()
            yield middle.astype(np.uint8).tobytes()
            yield np.packbits(middle.astype(np.uint8)).tobytes()
