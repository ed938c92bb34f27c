"""Manifests that keep the schema and describe no possible network."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from benchmarks.hostile_service.documents.bundles import renamed, with_play
from benchmarks.hostile_service.plays import Play
from benchmarks.hostile_service.stage import Attack
from benchmarks.hostile_service.texts import TEXTS

Document = dict[str, Any]
Change = Callable[[Document, list[Document], random.Random, float], None]
"""Changes a manifest, whose boundaries are given too; the number is one that few computations can take."""


def strange_networks(play: Play, rng: random.Random) -> Attack:
    """Manifests that keep the schema and ask for what no network is: sizes, ranges, scales, layers."""
    document = json.loads(play.manifest)
    name = rng.choice([*CHANGES])
    boundaries = [document["first"], document["last"]]
    for step in document["steps"]:
        boundaries += [step["reads"]] if step["side"] == "C" else [step["circuit"]["reads"], step["circuit"]["writes"]]
    CHANGES[name](
        document, boundaries, rng, rng.choice([5e-324, 1e-300, 1e-45, 1e-38, 1e-20, 1e20, 1e38, 3.5e38, 1e300])
    )
    return with_play(name, renamed(play, document, dict(play.files)))


def _scales(_: Document, boundaries: list[Document], rng: random.Random, some: float) -> None:
    for each in rng.sample(boundaries[:2], rng.randint(1, 2)):
        each["scale"] = rng.choice([[some], [], [some] * each["shape"][0]])


def _zeros(_: Document, boundaries: list[Document], rng: random.Random, __: float) -> None:
    for each in boundaries[:2]:
        each["zero"] = [rng.choice([-(2**31), 2**31, 2**31 - 1, 0])]


def _range(_: Document, boundaries: list[Document], rng: random.Random, __: float) -> None:
    each = rng.choice(boundaries)
    each["low"], each["high"] = rng.choice([(-(2**31), 2**31), (0, 0), (2**31, 2**31), (-(2**31), -(2**31))])


def _all_ranges(_: Document, boundaries: list[Document], __: random.Random, ___: float) -> None:
    for each in boundaries:
        each["low"], each["high"] = -(2**31), 2**31


def _side(document: Document, _: list[Document], rng: random.Random, __: float) -> None:
    document["front_end"] = rng.choice(
        [
            {"kind": "standardisation", "side": 4096, "floor": 1e-300, "limit": 100.0},
            {"kind": "scattering", "side": 512, "octaves": 6, "directions": 16, "cells": 8, "harmonics": None},
            {"kind": "scattering", "side": 256, "octaves": 3, "directions": 8, "cells": 8, "harmonics": 3},
            {"kind": "scattering", "side": 8, "octaves": 2, "directions": 1, "cells": 8, "harmonics": 0},
            {"kind": "deep", "side": 4096, "weights": "0" * 64},
        ]
    )
    if rng.random() < 0.5:
        side = document["front_end"]["side"]
        document["first"]["shape"] = [1, side, side]


def _layers(document: Document, _: list[Document], rng: random.Random, __: float) -> None:
    _strange_layers(document, rng, "layers")


def _pooling(document: Document, _: list[Document], rng: random.Random, __: float) -> None:
    _strange_layers(document, rng, "pooling")


def _classes(document: Document, _: list[Document], rng: random.Random, __: float) -> None:
    document["classes"] = [rng.choice(TEXTS)[:100] or "x", rng.choice(TEXTS)[:100] or "y"]


def _codec(document: Document, _: list[Document], rng: random.Random, __: float) -> None:
    for step in document["steps"]:
        if step["side"] == "S":
            codec = step["circuit"]["codec"]
            codec["input_scale"] = [rng.choice([1.0, 2.0, 1e-300, 1048575.0])]
            codec["input_offset"] = [rng.choice([0.0, 1e12, -1e12, 0.5])]
            codec["output_scale"] = [rng.choice([1.0, 1e-300, 1048575.0])]
            codec["output_offset"] = [rng.choice([0.0, 1e12, -1e12])]
            if rng.random() < 0.4:
                codec |= {"input_scale": [1.0], "input_offset": [0.0]}
                codec["input_bins"] = {
                    "low": -65536,
                    "count": rng.choice([1, 4, 65536]),
                    "dropped_bits": rng.choice([0, 16]),
                }


def _shape(_: Document, boundaries: list[Document], rng: random.Random, __: float) -> None:
    rng.choice(boundaries)["shape"] = rng.choice([[65536, 65536, 65536], [1], [65536], [1, 1, 1], [64], [8, 8]])


def _versions(document: Document, _: list[Document], rng: random.Random, __: float) -> None:
    document["created_with"] = {
        "cryptml": "9",
        "concrete-python": rng.choice(["2.9.0", "\x1b[2J", "\n\n", "\u202e2.10.0"]),
    }


def _floor(document: Document, _: list[Document], rng: random.Random, __: float) -> None:
    document["front_end"] |= {
        "floor": rng.choice([5e-324, 1e-300, 1.0]),
        "limit": rng.choice([5e-324, 1e-300, 100]),
    }


def _strange_layers(document: dict[str, Any], rng: random.Random, name: str) -> None:
    for step in document["steps"]:
        if step["side"] != "C":
            continue
        for index, layer in enumerate(step["layers"]):
            if layer["kind"] == "convolution":
                layer["padding"] = rng.choice([[256, 256], [0, 256], [1, 1]])
                layer["stride"] = rng.choice([[1, 1], [256, 256], [2, 2], [0, 1]])
                layer["groups"] = rng.choice([1, 2, 65536, layer["groups"]])
            elif layer["kind"] == "activation":
                layer |= {"low": rng.choice([-65536, 65536, 0]), "dropped_bits": rng.choice([0, 16]), "clamps": True}
                layer["negacyclic"] = rng.random() < 0.3
            if name == "pooling":
                pool = {
                    "name": f"p{index}",
                    "kind": "pooling",
                    "kernel": rng.choice([[1, 1], [256, 256]]),
                    "stride": [1, 1],
                }
                wide = {"body": [pool] * rng.choice([0, 1, 64]), "shortcut": []}
                step["layers"][index] = rng.choice([pool, {"name": layer["name"], "kind": "residual", **wide}])


CHANGES: dict[str, Change] = {
    "scales": _scales,
    "zeros": _zeros,
    "range": _range,
    "all ranges": _all_ranges,
    "side": _side,
    "layers": _layers,
    "classes": _classes,
    "codec": _codec,
    "shape": _shape,
    "versions": _versions,
    "pooling": _pooling,
    "floor": _floor,
}
