"""Weights and other tensors that overflow, have other types, or are damaged."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.hostile_service.documents.bundles import renamed, with_play
from benchmarks.hostile_service.plays import Play
from benchmarks.hostile_service.stage import Attack
from benchmarks.hostile_service.texts import TEXTS
from cryptml.bundle.spot_checks import FILE as SPOT_CHECKS
from cryptml.bundle.spot_checks import SpotChecks

WEIGHTS = "weights.safetensors"


def deep_layers(play: Play, rng: random.Random) -> Attack:
    """Weights of the client's own layers that overflow, are of other types or sizes, or nest in each other."""
    document = json.loads(play.manifest)
    own = [step for step in document["steps"] if step["side"] == "C"]
    if not own:
        return weights(play, rng)
    tensors = _tensors(play.files[WEIGHTS])
    name = rng.choice(["extreme", "wide", "tall", "another type", "empty", "residual"])
    chosen = rng.choice([*tensors])
    big = rng.choice([2**31 - 1, -(2**31) + 1, 2**62, -(2**63), 2**63 - 1])
    if name == "extreme":
        for each in tensors:
            tensors[each] = np.full(tensors[each].shape, big, np.int64)
    elif name == "wide":
        tensors[chosen] = np.full((tensors[chosen].shape[0], 1 << 20), min(big, 2**31 - 1), np.int64)
    elif name == "tall":
        tensors[chosen] = np.zeros((1 << 20, *tensors[chosen].shape[1:]), np.int8)
    elif name == "another type":
        kind = rng.choice([np.float32, np.float64, np.uint8, np.uint64, np.bool_, np.float16])
        tensors[chosen] = tensors[chosen].astype(kind)
    elif name == "empty":
        tensors[chosen] = tensors[chosen][:0]
    else:
        layer = own[0]["layers"][0]
        inner: dict[str, Any] = {**layer, "name": "x"}
        for _ in range(rng.choice([1, 5, 12])):
            inner = {"name": "x", "kind": "residual", "body": [inner], "shortcut": []}
        own[0]["layers"][0] = {**inner, "name": layer["name"]}
    return with_play(f"{name} {chosen}", renamed(play, document, {**play.files, WEIGHTS: _safetensors(tensors)}))


def _tensors(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    from safetensors.numpy import load

    return dict(load(data))


def _safetensors(tensors: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    from safetensors.numpy import save

    return bytes(save({name: np.ascontiguousarray(each) for name, each in tensors.items()}))


def weights(play: Play, rng: random.Random) -> Attack:
    """Safetensors that are damaged: bits, heads, types, places."""
    document, files = json.loads(play.manifest), dict(play.files)
    name = WEIGHTS
    if rng.random() < 0.5:
        name = SPOT_CHECKS
        files[name] = _spot_checks(play, rng)
    data, way = mutated_safetensors(files[name], rng)
    return with_play(f"{name}: {way}", renamed(play, document, {**files, name: data}))


def _spot_checks(play: Play, rng: random.Random) -> bytes:
    classes, count = len(play.integers), rng.randint(1, 4)
    answers = np.repeat(np.array([play.integers], np.int64), count, 0)
    return SpotChecks(np.repeat(play.region[None], count, 0), answers, answers.reshape(count, classes)).pack()


def mutated_safetensors(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Return a safetensors file that is damaged, and how."""
    (size,) = struct.unpack("<Q", data[:8])
    head, payload = json.loads(data[8 : 8 + size]), data[8 + size :]
    way = rng.choice(
        ["bits", "cut", "length", "head", "names", "offsets", "huge head", "types", "extra", "metadata", "rank"]
    )
    if way == "bits":
        return flipped(data, rng, rng.choice([1, 5, 50])), way
    if way == "cut":
        return data[: rng.randrange(len(data))], way
    if way == "length":
        return struct.pack("<Q", rng.choice([0, 1, size - 1, size + 1, 1 << 27, 1 << 40, (1 << 64) - 1])) + data[
            8:
        ], way
    if way == "huge head":
        filler = json.dumps({f"t{i}": {"dtype": "I8", "shape": [0], "data_offsets": [0, 0]} for i in range(20_000)})
        return struct.pack("<Q", len(filler)) + filler.encode() + payload, way
    entries = [name for name in head if name != "__metadata__"]
    chosen = rng.choice(entries) if entries else "x"
    entry = head.setdefault(chosen, {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]})
    if way == "head":
        head = rng.choice([[], None, 5, "x", {"a": 5}, {chosen: []}, {**head, "\x1b[2J": entry}])
    elif way == "names":
        head[rng.choice(TEXTS)] = head.pop(chosen)
    elif way == "offsets":
        entry["data_offsets"] = rng.choice([[0, 0], [0, len(payload) * 2], [5, 1], [-1, 4], [0, 1 << 63], [1, 2], [0]])
    elif way == "types":
        entry["dtype"] = rng.choice(["F64", "F8_E4M3", "BF16", "BOOL", "U8", "I64", "X", *TEXTS])
    elif way == "extra":
        head["other"] = {"dtype": "I8", "shape": [0], "data_offsets": [len(payload)] * 2}
    elif way == "metadata":
        head["__metadata__"] = rng.choice([{}, {"a": "b" * 1_000_000}, {"a": 5}, [], {"\n": "\x1b"}])
    else:
        entry["shape"] = rng.choice([[], [1] * 40, [1 << 62, 4], [0, 1 << 63], [-1], [1.5], [len(payload)]])
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + payload, way


def flipped(data: bytes, rng: random.Random, bits: int, start: int = 0, stop: int | None = None) -> bytes:
    """Return data with some bits turned over."""
    changed = bytearray(data)
    for _ in range(bits):
        place = rng.randrange(start, stop or len(data))
        changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)
