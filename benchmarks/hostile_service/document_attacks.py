"""Bundles, descriptions of jobs and answers that keep to HTTP and lie in what they say."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.hostile_service.plays import Play, Request, Response
from benchmarks.hostile_service.stage import Attack
from benchmarks.hostile_service.wire_attacks import TEXTS
from benchmarks.specification_mutations import EXTREMES, PLACE, Path_, mutations
from cryptml.bundle.spot_checks import FILE as SPOT_CHECKS
from cryptml.bundle.spot_checks import SpotChecks
from cryptml.files import sha256

WEIGHTS = "weights.safetensors"
MANY = 400_000


def places(document: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Yield every value of a document, containers too, with the way to it; not the document itself."""
    members = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, value in members:
        yield (*path, name), value
        yield from places(value, (*path, name))


def put(document: Any, path: Path_, value: Any) -> Any:
    """Return a copy of a document with another value in one place."""
    again = deepcopy(document)
    inner = again
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return again


def written(document: Any, token: str | None = None) -> bytes:
    """Return a document's JSON, `PLACE` in it replaced by a token, whatever that is."""
    text = json.dumps(document)
    return (text if token is None else text.replace(json.dumps(PLACE), token)).encode()


def token_for(value: Any, rng: random.Random) -> str:
    """Return JSON, or something like it, to stand in a value's place."""
    if rng.random() < 0.25:
        return rng.choice(HOSTILE)
    if isinstance(value, bool) or value is None:
        return rng.choice(EXTREMES)
    if isinstance(value, (int, float)):
        return rng.choice(mutations(value))
    if isinstance(value, str):
        text = rng.choice(TEXTS)
        return rng.choice([json.dumps(text), json.dumps(value + text[:20]), json.dumps(value[:-1]), "5", "null"])
    if isinstance(value, list):
        return rng.choice(
            [
                "[]",
                json.dumps(value * 2),
                json.dumps(value[::-1]),
                json.dumps(value[1:]),
                json.dumps([value]),
                *EXTREMES,
            ]
        )
    return rng.choice(EXTREMES)


HOSTILE = (
    "[" * 30 + "]" * 30,
    "[" * 45 + "]" * 45,
    "[" * 100_000,
    '{"a":' * 20_000,
    "[" + ",".join(['"x"'] * MANY) + "]",
    "[" + ",".join(["{}"] * MANY) + "]",
    "[" + ",".join(["[]"] * MANY) + "]",
    "[" + ",".join(["0.5"] * MANY) + "]",
    "[" + ",".join(["-1"] * MANY) + "]",
    "{" + ",".join(f'"k{i}":0' for i in range(MANY // 2)) + "}",
    json.dumps("y" * (8 << 20)),
    "1" * 5000,
    "-" + "9" * 21,
    "0." + "3" * 100_000,
    '{"a":1,"a":2}',
    '{"__proto__":{"side":1}}',
    '{"\\u001b[2J\\n":1}',
    '{"\\u202e":{"\\u0000":[]}}',
    '"\\ud800"',
    "1e-320",
    "1e-300",
    "1e300",
    "3.4e38",
    "1e38",
    "1e-38",
    "65536",
    "4096",
    "[65536,65536,65536]",
    "[1,65536,65536]",
    "[1,4096,4096]",
    "256",
    "[256,256]",
)


def renamed(play: Play, manifest: Mapping[str, Any], files: dict[str, bytes], token: str | None = None) -> Play:
    """Return a play of another bundle, digests and sizes being right; ``token`` stands in the place of `PLACE`."""
    document = deepcopy(dict(manifest))
    if isinstance(document.get("files"), dict):
        for name, data in files.items():
            document["files"][name] = {"sha256": sha256(data), "bytes": len(data)}
        for name in list(document["files"]):
            if name not in files:
                del document["files"][name]
    body = written(document, token)
    answers = {**play.answers, "manifest": replace(play.answers["manifest"], body=body)}
    return replace(play, manifest=body, files=files, answers=answers)


def _bundle(way: str, play: Play) -> Attack:
    return Attack(way, play=play)


def manifests(play: Play, rng: random.Random) -> Attack:
    """A manifest of which one value, or the form, is changed."""
    document = json.loads(play.manifest)
    name = rng.choice(["value"] * 12 + ["gone", "new name", "added", "swapped", "doubled", "twice", "cut", "several"])
    path, value = rng.choice([*places(document)])
    if name == "value":
        token = token_for(value, rng)
        return _bundle(f"{path} = {token[:60]}", _raw(play, written(put(document, path, PLACE), token)))
    if name == "several":
        token = ""
        for _ in range(rng.randint(2, 5)):
            path, value = rng.choice([*places(document)])
            token = token_for(value, rng)
            try:
                document = json.loads(written(put(document, path, PLACE), token))
            except (ValueError, RecursionError):
                break
        return _bundle(f"several, {path} = {token[:40]}", _raw(play, written(document)))
    if name in ("gone", "new name", "added"):
        objects = [each for each, inner in places(document) if isinstance(inner, dict) and inner]
        where = rng.choice(objects)
        inner = document
        for each in where:
            inner = inner[each]
        key = rng.choice([*inner])
        if name == "added":
            inner[rng.choice(TEXTS)[:200]] = 1
        else:
            found = inner.pop(key)
            if name == "new name":
                inner[rng.choice([key + "\n", key.upper(), *TEXTS])] = found
        return _bundle(f"{name}: {where} {key}", _raw(play, written(document)))
    if name == "swapped" and len(document["steps"]) > 1:
        first, second = rng.sample(range(len(document["steps"])), 2)
        steps = document["steps"]
        steps[first], steps[second] = steps[second], steps[first]
    elif name == "doubled":
        document["steps"].append(rng.choice(document["steps"]))
    elif name == "twice":
        return _bundle("a key twice", _raw(play, play.manifest[:-2].rstrip() + b',"split":"CCCCC"}'))
    else:
        return _bundle("cut off", _raw(play, play.manifest[: rng.randrange(len(play.manifest))]))
    return _bundle(name, _raw(play, written(document)))


def _raw(play: Play, body: bytes) -> Play:
    return replace(
        play, manifest=body, answers={**play.answers, "manifest": replace(play.answers["manifest"], body=body)}
    )


def strange_networks(play: Play, rng: random.Random) -> Attack:
    """Manifests that keep the schema and ask for what no network is: sizes, ranges, scales, layers."""
    document = json.loads(play.manifest)
    files = dict(play.files)
    name = rng.choice(
        [
            "scales",
            "zeros",
            "range",
            "all ranges",
            "side",
            "layers",
            "classes",
            "codec",
            "shape",
            "engine",
            "pooling",
            "floor",
        ]
    )
    boundaries = [document["first"], document["last"]]
    for step in document["steps"]:
        boundaries += [step["reads"]] if step["side"] == "C" else [step["circuit"]["reads"], step["circuit"]["writes"]]
    some = rng.choice([5e-324, 1e-300, 1e-45, 1e-38, 1e-20, 1e20, 1e38, 3.5e38, 1e300])
    if name == "scales":
        for each in rng.sample(boundaries[:2], rng.randint(1, 2)):
            each["scale"] = rng.choice([[some], [], [some] * each["shape"][0]])
    elif name == "zeros":
        for each in boundaries[:2]:
            each["zero"] = [rng.choice([-(2**31), 2**31, 2**31 - 1, 0])]
    elif name == "range":
        each = rng.choice(boundaries)
        each["low"], each["high"] = rng.choice([(-(2**31), 2**31), (0, 0), (2**31, 2**31), (-(2**31), -(2**31))])
    elif name == "all ranges":
        for each in boundaries:
            each["low"], each["high"] = -(2**31), 2**31
    elif name == "side":
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
    elif name in ("layers", "pooling"):
        _strange_layers(document, rng, name)
    elif name == "classes":
        document["classes"] = [rng.choice(TEXTS)[:100] or "x", rng.choice(TEXTS)[:100] or "y"]
    elif name == "codec":
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
    elif name == "shape":
        rng.choice(boundaries)["shape"] = rng.choice([[65536, 65536, 65536], [1], [65536], [1, 1, 1], [64], [8, 8]])
    elif name == "engine":
        document["created_with"] = {
            "cryptml": "9",
            "concrete-python": rng.choice(["2.9.0", "\x1b[2J", "\n\n", "\u202e2.10.0"]),
        }
    else:
        document["front_end"] |= {
            "floor": rng.choice([5e-324, 1e-300, 1.0]),
            "limit": rng.choice([5e-324, 1e-300, 100]),
        }
    return _bundle(name, renamed(play, document, files))


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
    return _bundle(f"{name} {chosen}", renamed(play, document, {**play.files, WEIGHTS: _safetensors(tensors)}))


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
    return _bundle(f"{name}: {way}", renamed(play, document, {**files, name: data}))


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


def specifications(play: Play, rng: random.Random) -> Attack:
    """A client specification of which something is changed, the manifest following."""
    document, files = json.loads(play.manifest), dict(play.files)
    name = rng.choice([each for each in files if each.startswith("circuit-")])
    specification = json.loads(files[name])
    path, value = rng.choice([*places(specification)])
    how = rng.choice(["value"] * 6 + ["gone", "added", "bits", "two"])
    if how == "value":
        token = token_for(value, rng)
        data, way = written(put(specification, path, PLACE), token), f"{path} = {token[:60]}"
    elif how == "bits":
        data, way = flipped(files[name], rng, rng.randint(1, 3)), how
    elif how == "added":
        objects = [where for where, inner in places(specification) if isinstance(inner, dict)]
        data, way = written(put(specification, (*rng.choice(objects), rng.choice(TEXTS)[:50]), 0)), how
    elif how == "two":
        data = written(put(put(specification, path, value), *rng.choice([*places(specification)])))
        way = how
        other, another = rng.choice([*places(specification)])
        try:
            data = written(put(specification, other, json.loads(token_for(another, rng))))
        except ValueError:
            data = b"{"
    else:
        again = deepcopy(specification)
        inner = again
        for each in path[:-1]:
            inner = inner[each]
        del inner[path[-1]]
        data, way = written(again), f"without {path}"
    files[name] = data
    number = int(name.split("-")[1].split(".")[0])
    circuits = [step["circuit"] for step in document["steps"] if step["side"] == "S"]
    if rng.random() < 0.8:
        circuits[number]["key_set"] = sha256(data)
    return _bundle(f"{name}: {way}", renamed(play, document, files))


def foreign(play: Play, plays: Mapping[str, Play], rng: random.Random) -> Attack:
    """Another split's bundle, an older one, or parts of one in another."""
    other = plays[rng.choice([*plays])]
    name = rng.choice(
        ["whole", "manifest", "files", "file", "one file", "missing", "longer", "another model", "circuits"]
    )
    if name == "whole":
        return _bundle(
            f"{name}: {other.split}",
            replace(play, files=other.files, answers={**play.answers, "manifest": other.answers["manifest"]}),
        )
    if name == "manifest":
        return _bundle(name, _raw(play, other.manifest))
    if name == "files":
        return _bundle(name, replace(play, files=other.files))
    files = dict(play.files)
    chosen = rng.choice([*files])
    if name == "missing":
        del files[chosen]
        return _bundle(name, replace(play, files=files))
    if name in ("file", "one file"):
        files[chosen] = other.files.get(chosen, b"")
        return _bundle(name, replace(play, files=files))
    if name == "longer":
        files[chosen] += b" " * rng.choice([1, 1000, 10_000_000])
        return _bundle(name, replace(play, files=files))
    document = json.loads(play.manifest)
    if name == "another model":
        document["model"] = rng.choice(["other", "tiny2", "tiny-"])
    else:
        document["steps"] = json.loads(other.manifest)["steps"]
        files = {**other.files, **files}
    return _bundle(name, renamed(play, document, files))


def whole_inputs(play: Play, rng: random.Random) -> Attack:
    """Specifications under which inputs are not seeded: the client may take them, and the server sees masks and noise."""
    document, files = json.loads(play.manifest), dict(play.files)
    circuits = [step["circuit"] for step in document["steps"] if step["side"] == "S"]
    for number, circuit in enumerate(circuits):
        name = f"circuit-{number}.json"
        specification = json.loads(files[name])
        gate = specification["circuits"][0]["inputs"][0]
        cipher = gate["typeInfo"]["lweCiphertext"]
        words = cipher["encryption"]["lweDimension"] + 1
        cipher["compression"] = "none"
        for shape in (cipher["concreteShape"], gate["rawInfo"]["shape"]):
            shape["dimensions"] = [*shape["dimensions"][:-1], words]
        files[name] = written(specification)
        shared = play.steps[number].circuit.parameters.key_parameters
        if circuit["key_set"] != shared:  # keys of its own, for this run alone
            files[name] += b" " * rng.randrange(1 << 16)
            shared = sha256(files[name])
        circuit["key_set"] = shared
        circuit["input_bytes"] = circuit["input_bytes"] // 24 * 8 * words
    return _bundle("inputs whole", renamed(play, document, files))


def lists(_: Play, rng: random.Random) -> Attack:
    """Lists of models and other small documents that are none."""
    body = rng.choice(
        [
            b"[]",
            b"{}",
            b'{"models":[]}',
            b'{"models":{}}',
            b'{"models":5}',
            b'{"models":[5]}',
            b'{"models":[{"model":null}]}',
            b'{"models":[{"model":"../../etc/passwd"}]}',
            b'{"models":[{"model":"tiny\\n"}]}',
            b'{"models":[{"model":"%2e%2e"}]}',
            b'{"models":[{"model":{"a":["x"]}}]}',
            b'{"models":"' + b"x" * 1_000_000 + b'"}',
            b'{"models":[' + b",".join([b'{"model":"x"}'] * 200_000) + b"]}",
            b'{"models":[{"model":"\\u001b[2J"},{"model":"\\u202e"}]}',
            b"[" * 200_000,
            b'{"a":' * 200_000,
            b"\xff\xfe\x00",
            b"NaN",
            b"\xef\xbb\xbf{}",
            b"",
            rng.choice(HOSTILE).encode(),
        ]
    )

    def alter(_: Request, honest: Response, __: random.Random) -> Response:
        return replace(honest, body=body)

    return Attack(f"{body[:60]!r}", frozenset(("models",)), alter=alter)


def jobs(_: Play, rng: random.Random) -> Attack:
    """Jobs that never end, are others', or are no jobs."""
    state = rng.choice(["waiting", "running", "done", "failed", "done\n", "Done", 5, None, ["done"], TEXTS[0]])
    changes: dict[str, Any] = {
        "state": state,
        "expected_seconds": rng.choice([None, -1, 1e300, 10**19, 0, 1e-300, "5", [], True, 5e8]),
        "ahead": rng.choice([None, -1, 10**19, "x"]),
        "job": rng.choice(
            [
                "0" * 32,
                "f" * 32,
                "0" * 31,
                "../" * 10,
                "0" * 31 + "\n",
                "٠" * 32,
                5,
                None,
                "0" * 5000,
                "A" * 32,
                ["0"] * 32,
            ]
        ),
        "problem": rng.choice([None, {}, {"status": 500, "title": TEXTS[0], "detail": TEXTS[1]}, 5]),
    }
    name = rng.choice([*changes, "state", "state", "raw", "flapping"])
    step = rng.choice(["submit", "job"])
    raw = rng.choice(
        [b"[]", b"null", b"{}", b'{"state":NaN}', b'{"expected_seconds":1e999}', b"{" * 100_000, b"", b"\0" * 100]
    )
    count = 0

    def alter(_: Request, honest: Response, __: random.Random) -> Response:
        nonlocal count
        count += 1
        document = json.loads(honest.body)
        if name == "raw":
            return replace(honest, body=raw)
        if name == "flapping":
            states = ["waiting", "running", "waiting", "done"]
            return replace(honest, body=written({**document, "state": states[min(count - 1, 3)]}))
        return replace(honest, body=written({**document, name: changes[name]}))

    return Attack(
        f"{step}: {name} = {changes.get(name)!r}"[:100], frozenset((step,)), alter=alter, lasting=rng.random() < 0.7
    )
