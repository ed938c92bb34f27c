"""All kinds of hostile requests, the same ones for a seed, and how many of each are sent."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.hostile_requests.access import Access
from benchmarks.hostile_requests.bodies import Bodies
from benchmarks.hostile_requests.framing import Framing
from benchmarks.hostile_requests.target import Shot, Target

SEED = 20240607
Maker = Callable[[random.Random, int], Shot]


def kinds(target: Target) -> dict[str, tuple[Maker, int]]:
    """What is made, with its share of the requests."""
    access, framing, bodies = Access(target), Framing(target), Bodies(target)
    return {
        "wrong tokens": (access.wrong_token, 1200),
        "methods that do not exist": (access.method, 800),
        "addresses that leave the folder": (access.traversal, 2500),
        "others' jobs and keys": (access.others, 1200),
        "lengths and offsets": (framing.lengths, 1200),
        "two lengths at once (smuggling)": (framing.smuggling, 700),
        "headers: many, long, strange": (framing.headers, 700),
        "chunked bodies that lie or never end": (framing.chunked, 500),
        "compressed bombs": (bodies.compressed, 200),
        "JSON bombs": (bodies.json_bomb, 400),
        "keys in parts, mutated": (bodies.parts, 300),
        "keys, mutated": (bodies.whole_keys, 60),
        "ciphertexts: longer or shorter": (bodies.resized, 700),
        "ciphertexts: heads mutated": (bodies.heads, 700),
        "ciphertexts: bits flipped": (bodies.flipped, 300),
    }
