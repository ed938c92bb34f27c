"""Client specifications that are changed."""

from __future__ import annotations

import json
import random
from copy import deepcopy

from benchmarks.hostile_service.documents.bundles import renamed, with_play
from benchmarks.hostile_service.documents.json_texts import token_for, written
from benchmarks.hostile_service.documents.weights import flipped
from benchmarks.hostile_service.plays import Play
from benchmarks.hostile_service.stage import Attack
from benchmarks.hostile_service.texts import TEXTS
from benchmarks.json_changes import PLACE, places, put
from cryptml.files import sha256


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
    return with_play(f"{name}: {way}", renamed(play, document, files))


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
    return with_play("inputs whole", renamed(play, document, files))
