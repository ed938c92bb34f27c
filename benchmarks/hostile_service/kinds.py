"""All kinds of attack, and how often each is made."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from benchmarks.hostile_service import ciphertext_attacks as ciphertexts
from benchmarks.hostile_service.documents import answers, manifests, networks, specifications, weights
from benchmarks.hostile_service.plays import Play
from benchmarks.hostile_service.stage import Attack
from benchmarks.hostile_service.wire import bodies as packing
from benchmarks.hostile_service.wire import errors, heads, pace
from benchmarks.hostile_service.wire.steps import some_step

Maker = Callable[[Play, random.Random], Attack]


def _wired(maker: Callable[[random.Random, str], Attack], *, bodies: bool = False) -> Maker:
    return lambda _, rng: maker(rng, some_step(rng, bodies=bodies))


def kinds(plays: dict[str, Play], elsewhere: str) -> dict[str, tuple[Maker, int]]:
    """Return what makes attacks of each kind, and its share of the runs."""
    return {
        "lengths that lie": (_wired(packing.lengths, bodies=True), 8),
        "chunks: wrong, endless": (_wired(packing.chunks, bodies=True), 6),
        "first lines and statuses": (_wired(heads.status_lines), 7),
        "preliminary answers": (_wired(heads.preliminary), 2),
        "redirects": (_wired(partial(heads.redirects, elsewhere)), 4),
        "a byte at a time, or nothing": (_wired(pace.drips), 3),
        "endless bodies and heads": (_wired(pace.endless), 3),
        "other media types": (_wired(heads.kinds_of_body), 5),
        "packed bodies, bombs": (_wired(packing.packed, bodies=True), 3),
        "headers: many, huge, strange": (_wired(heads.headers), 7),
        "closed, reset, leftovers": (_wired(pace.closings), 7),
        "problem documents, for ever": (_wired(errors.problems), 8),
        "offsets of uploads": (_wired(errors.uploads), 2),
        "lists that are none": (answers.lists, 2),
        "jobs": (answers.jobs, 4),
        "bundles of others": (lambda play, rng: manifests.foreign(play, plays, rng), 3),
        "manifests, changed": (manifests.manifests, 10),
        "networks that are none": (networks.strange_networks, 4),
        "layers and weights that are none": (weights.deep_layers, 3),
        "tensor files, damaged": (weights.weights, 3),
        "client specifications, changed": (specifications.specifications, 6),
        "inputs that are not seeded": (specifications.whole_inputs, 1),
        "results: damaged messages": (ciphertexts.malformed, 8),
        "results of others": (lambda play, rng: ciphertexts.of_others(play, plays, rng), 3),
        "results that decrypt to something else": (ciphertexts.altered, 6),
    }


WHOLE = "inputs whole"

FOREIGN = (
    "bundles of others",
    "manifests, changed",
    "networks that are none",
    "layers and weights that are none",
    "tensor files, damaged",
    "client specifications, changed",
    "inputs that are not seeded",
)
"""Kinds in which a client begins anew, and may be led to other circuits."""

BEGINNING = frozenset(("models", "manifest", "file", "keys", "upload"))
